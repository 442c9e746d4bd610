import { AgentError } from "../errors.ts";
import type { ProcessEnd } from "./exit.ts";
import type { Output } from "./output.ts";

/** What a viewer is told about a process. */
export type ProcessEvent =
  | { kind: "start"; pid: number }
  | { kind: "output"; output: Output }
  | { kind: "end"; end: ProcessEnd };

/** A viewer with this much waiting asks its process to wait, unless another viewer is faster. */
export const WAIT_ABOVE_BYTES = 256 * 1024;
/** Reading goes on once some viewer has less than this waiting. */
const RESUME_BELOW_BYTES = 64 * 1024;
/**
 * A viewer that is this far behind a faster one is given up. It is more than the kernel's buffers
 * of one connection take (Linux: 4 MiB to send, 6 MiB to receive), so that a viewer that only
 * seems fast, because its buffers are still empty, does not push out one that reads. Viewers share
 * the chunks, so this is also about what a process's viewers hold together.
 */
export const GIVE_UP_ABOVE_BYTES = 16 * 1024 * 1024;

/**
 * One viewer's view of a process: a bounded queue it empties at its own pace. `start` comes
 * first, `end` or a failure last.
 */
export class Subscription {
  /** Called when there may be something for `next()`. Set by whoever reads. */
  onReadable: () => void = () => {};
  readonly #fanOut: FanOut;
  readonly #queue: ProcessEvent[] = [];
  #taken = 0;
  #waitingBytes = 0;
  #missedBytes = 0;
  #failure: AgentError | undefined;
  #isComplete = false;

  constructor(fanOut: FanOut) {
    this.#fanOut = fanOut;
  }

  /** Output bytes that wait to be read. */
  get waitingBytes(): number {
    return this.#waitingBytes;
  }

  /** Whether output was dropped because this viewer was too far behind. */
  get isGivenUp(): boolean {
    return this.#missedBytes > 0;
  }

  /** How many bytes the process has written that this viewer has not read. */
  get behindBytes(): number {
    return this.#waitingBytes + this.#missedBytes;
  }

  /**
   * The next event, or `undefined` when there is none yet. Throws the `AgentError` this view ends
   * with once everything before it has been read.
   * Who gets output holds it, and may release it.
   */
  next(): ProcessEvent | undefined {
    const event = this.#queue[this.#taken];
    if (event === undefined) {
      if (this.#failure !== undefined) throw this.#failure;
      if (this.isGivenUp) throw this.fallenBehind();
      return undefined;
    }
    this.#taken += 1;
    if (this.#taken === this.#queue.length || this.#taken > 1_000) {
      this.#queue.splice(0, this.#taken);
      this.#taken = 0;
    }
    if (event.kind === "output") {
      this.#waitingBytes -= event.output.size;
      this.#fanOut.onTaken(this);
    }
    return event;
  }

  /** The failure of a viewer that reads too slowly, with how far behind it is. */
  fallenBehind(): AgentError {
    return new AgentError(
      "exhausted",
      `this viewer is ${this.behindBytes} bytes behind the process and was cut off: read faster, or connect again for what comes next`,
    );
  }

  /** Adds an event; output beyond the bound is dropped and counted. */
  push(event: ProcessEvent): void {
    if (this.#isComplete) return;
    if (event.kind === "output") {
      const size = event.output.size;
      if (this.isGivenUp || this.#waitingBytes + size > GIVE_UP_ABOVE_BYTES) {
        this.#missedBytes += size;
        this.onReadable();
        return;
      }
      this.#waitingBytes += size;
      event.output.hold();
    }
    if (event.kind === "end") this.#isComplete = true;
    if (event.kind !== "end" || !this.isGivenUp) this.#queue.push(event);
    this.onReadable();
  }

  /** Ends this view with `error` after what waits already. */
  fail(error: AgentError): void {
    if (this.#isComplete) return;
    this.#isComplete = true;
    this.#failure = error;
    this.onReadable();
  }

  /** Leaves the process. What still waits is dropped. */
  close(): void {
    this.#isComplete = true;
    for (const event of this.#queue.slice(this.#taken)) {
      if (event.kind === "output") event.output.release();
    }
    this.#queue.length = 0;
    this.#taken = 0;
    this.#waitingBytes = 0;
    this.#fanOut.delete(this);
  }
}

/**
 * Hands a process's output to its viewers and never waits for any of them: the process runs at
 * the pace of the fastest viewer, or freely when nobody watches.
 */
export class FanOut {
  readonly #viewers = new Set<Subscription>();
  readonly #resume: () => void;
  #isWaiting = false;

  /** `resume` is called when reading shall go on after `publish` returned `false`. */
  constructor(resume: () => void) {
    this.#resume = resume;
  }

  /** A new viewer, who sees what comes from now on. */
  subscribe(): Subscription {
    const viewer = new Subscription(this);
    this.#viewers.add(viewer);
    // It has nothing waiting, so it is not held up by those who have.
    this.#goOn();
    return viewer;
  }

  /** Gives `output` to every viewer and says whether to read on. */
  publish(output: Output): boolean {
    for (const viewer of this.#viewers) viewer.push({ kind: "output", output });
    this.#isWaiting = !this.#someViewerHasLess(WAIT_ABOVE_BYTES);
    return !this.#isWaiting;
  }

  /** Tells every viewer the end, and forgets them. */
  end(end: ProcessEnd): void {
    for (const viewer of this.#viewers) viewer.push({ kind: "end", end });
    this.#viewers.clear();
  }

  /** Told by a viewer that it has read something. */
  onTaken(viewer: Subscription): void {
    if (this.#isWaiting && viewer.waitingBytes < RESUME_BELOW_BYTES) this.#goOn();
  }

  /** Told by a viewer that it has left. */
  delete(viewer: Subscription): void {
    if (this.#viewers.delete(viewer) && this.#someViewerHasLess(WAIT_ABOVE_BYTES)) this.#goOn();
  }

  #goOn(): void {
    if (!this.#isWaiting) return;
    this.#isWaiting = false;
    this.#resume();
  }

  /** Whether a viewer wants more. Those given up do not count; with no viewer left, all is read. */
  #someViewerHasLess(bytes: number): boolean {
    let counted = 0;
    for (const viewer of this.#viewers) {
      if (viewer.isGivenUp) continue;
      if (viewer.waitingBytes < bytes) return true;
      counted += 1;
    }
    return counted === 0;
  }
}

/** The view of a process that has ended already: its start and its end. */
export function endedSubscription(ended: { pid: number; end: ProcessEnd }): Subscription {
  const fanOut = new FanOut(() => {});
  const viewer = fanOut.subscribe();
  viewer.push({ kind: "start", pid: ended.pid });
  fanOut.end(ended.end);
  return viewer;
}
