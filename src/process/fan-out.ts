import { AgentError } from "../errors.ts";
import type { ProcessEnd } from "./exit.ts";
import type { Output, OutputKind } from "./output.ts";

/** What a viewer is told about a process. */
export type ProcessEvent =
  | { kind: "start"; pid: number; viewerId?: number }
  | { kind: "output"; output: Output }
  | { kind: "gap"; output: OutputKind; from: number; to: number }
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

/** One who follows a process. `start` comes first, `end` or a failure last. */
export interface Viewer {
  /** Called when there may be something for `next()`. Set by whoever reads. */
  onReadable: () => void;
  /** Whether the process need not wait for it: it gets no more output. */
  readonly isGivenUp: boolean;
  /** Whether the process should wait, if it is up to this viewer. */
  readonly isFull: boolean;
  /** Whether a process that waits should go on. */
  readonly wantsMore: boolean;
  /**
   * The next event, or `undefined` when there is none yet. Throws the `AgentError` this view ends
   * with once everything before it has been read.
   * Who gets output holds it, and may release it.
   */
  next(): ProcessEvent | undefined;
  /** The failure of a viewer that reads too slowly, with how far behind it is. */
  fallenBehind(): AgentError;
  /** Told what happens. */
  push(event: ProcessEvent): void;
  /** Ends this view with `error` after what waits already. */
  fail(error: AgentError): void;
  /** Leaves the process. */
  close(): void;
}

/**
 * One viewer's view of a process: a bounded queue it empties at its own pace. `start` comes
 * first, `end` or a failure last.
 */
export class Subscription implements Viewer {
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

  /** Whether the process should wait, if it is up to this viewer. */
  get isFull(): boolean {
    return this.#waitingBytes >= WAIT_ABOVE_BYTES;
  }

  /** Whether a process that waits should go on. */
  get wantsMore(): boolean {
    return this.#waitingBytes < RESUME_BELOW_BYTES;
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
    return fallenBehind(this.behindBytes);
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
  readonly #viewers = new Set<Viewer>();
  readonly #resume: () => void;
  #isWaiting = false;

  /** `resume` is called when reading shall go on after `publish` returned `false`. */
  constructor(resume: () => void) {
    this.#resume = resume;
  }

  /** A new viewer, who sees what comes from now on. */
  subscribe(): Subscription {
    const viewer = new Subscription(this);
    this.add(viewer);
    return viewer;
  }

  /** Tells `viewer` what happens from now on. */
  add(viewer: Viewer): void {
    this.#viewers.add(viewer);
    // It has nothing waiting, so it is not held up by those who have.
    if (!viewer.isFull) this.#goOn();
  }

  /** Whether the process has to wait for its viewers. */
  get isWaiting(): boolean {
    return this.#isWaiting;
  }

  /** Gives `output` to every viewer and says whether to read on. */
  publish(output: Output): boolean {
    for (const viewer of this.#viewers) viewer.push({ kind: "output", output });
    this.#isWaiting = !this.#isMoreWanted();
    return !this.#isWaiting;
  }

  /** Tells every viewer the end, and forgets them. */
  end(end: ProcessEnd): void {
    for (const viewer of this.#viewers) viewer.push({ kind: "end", end });
    this.#viewers.clear();
  }

  /** Told by a viewer that it has read something. */
  onTaken(viewer: Viewer): void {
    if (this.#isWaiting && viewer.wantsMore) this.#goOn();
  }

  /** How many follow the process. */
  get size(): number {
    return this.#viewers.size;
  }

  /** Told by a viewer that it has left. */
  delete(viewer: Viewer): void {
    if (this.#viewers.delete(viewer)) this.reconsider();
  }

  /** Told that a viewer no longer counts. */
  reconsider(): void {
    if (this.#isMoreWanted()) this.#goOn();
  }

  #goOn(): void {
    if (!this.#isWaiting) return;
    this.#isWaiting = false;
    this.#resume();
  }

  /** Whether a viewer wants more. Those given up do not count; with no viewer left, all is read. */
  #isMoreWanted(): boolean {
    let counted = 0;
    for (const viewer of this.#viewers) {
      if (viewer.isGivenUp) continue;
      if (!viewer.isFull) return true;
      counted += 1;
    }
    return counted === 0;
  }
}

/** What a viewer ends with that read too slowly. */
export function fallenBehind(bytes: number): AgentError {
  return new AgentError(
    "exhausted",
    `this viewer is ${bytes} bytes behind the process and was cut off: read faster, or connect again for what comes next`,
  );
}
