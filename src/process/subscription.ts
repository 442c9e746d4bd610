import type { AgentError } from "../errors.ts";
import { EventQueue } from "./event-queue.ts";
import type { FanOut } from "./fan-out.ts";
import {
  type EndEvent,
  fallenBehind,
  GIVE_UP_ABOVE_BYTES,
  type ProcessEvent,
  RESUME_BELOW_BYTES,
  type Viewer,
  WAIT_ABOVE_BYTES,
} from "./viewer.ts";

/**
 * The same bounds for how many pieces wait: those of two outputs that come in turn cannot be put
 * together, and each costs some 300 bytes.
 */
const WAIT_ABOVE_EVENTS = 8_192;
const GIVE_UP_ABOVE_EVENTS = 65_536;

/** What a viewer may ask for that gets no offsets. Default: nothing. */
export interface SubscriptionOptions {
  /** Whether it is told the end when the program has exited. */
  endsAtExit?: boolean;
  /** Whether the process never waits for it. */
  isBystander?: boolean;
}

/**
 * One viewer's view of a process: a bounded queue it empties at its own pace. `start` comes
 * first, `end` or a failure last.
 */
export class Subscription implements Viewer {
  /** Called when there may be something for `next()`. Set by whoever reads. */
  onReadable: () => void = () => {};
  readonly #fanOut: FanOut;
  readonly #queue = new EventQueue();
  #waitingBytes = 0;
  #missedBytes = 0;
  #failure: AgentError | undefined;
  #isComplete = false;

  readonly endsAtExit: boolean;
  readonly #isBystander: boolean;

  constructor(fanOut: FanOut, { endsAtExit, isBystander }: SubscriptionOptions = {}) {
    this.#fanOut = fanOut;
    this.endsAtExit = endsAtExit === true;
    this.#isBystander = isBystander === true;
  }

  /** Who asks for nothing sees the contract. */
  get wantsFacts(): boolean {
    return this.endsAtExit;
  }

  /** Output bytes that wait to be read. */
  get waitingBytes(): number {
    return this.#waitingBytes;
  }

  /** Whether the process should wait, if it is up to this viewer. */
  get isFull(): boolean {
    return this.#waitingBytes >= WAIT_ABOVE_BYTES || this.#queue.length >= WAIT_ABOVE_EVENTS;
  }

  /** Whether a process that waits should go on. */
  get wantsMore(): boolean {
    return this.#waitingBytes < RESUME_BELOW_BYTES && this.#queue.length < WAIT_ABOVE_EVENTS / 4;
  }

  /** Whether the process may ever wait for it. */
  get isWaitedFor(): boolean {
    return !this.#isBystander && !this.isGivenUp;
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
    const event = this.#queue.take();
    if (event === undefined) {
      if (this.#failure !== undefined) throw this.#failure;
      if (this.isGivenUp) throw this.fallenBehind();
      return undefined;
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
      if (this.isGivenUp || this.#hasNoRoomFor(size)) {
        this.#missedBytes += size;
        this.onReadable();
        return;
      }
      this.#waitingBytes += size;
      event.output.hold();
    }
    if (event.kind === "end") this.#complete(event);
    else this.#queue.push(event);
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
    this.#queue.clear();
    this.#waitingBytes = 0;
    this.#fanOut.delete(this);
  }

  #hasNoRoomFor(bytes: number): boolean {
    const isFarBehind = this.#waitingBytes + bytes > GIVE_UP_ABOVE_BYTES;
    return isFarBehind || this.#queue.length >= GIVE_UP_ABOVE_EVENTS;
  }

  #complete({ kind, end, facts }: EndEvent): void {
    this.#isComplete = true;
    if (this.isGivenUp) return;
    this.#queue.push(this.wantsFacts && facts !== undefined ? { kind, end, facts } : { kind, end });
  }
}
