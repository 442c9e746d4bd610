import { GuestError } from "./errors.ts";
import { anySignal } from "./patience.ts";

/** How a stream is opened. */
export interface StreamOptions {
  /** Ends it. */
  signal: AbortSignal | undefined;
  /** How long nothing may come before it counts as cut, in ms. The guest must send signs of life. */
  stallMs: number;
}

/** One stream of a guest, watched for its stand-still. Closing it is up to who opened it. */
export class EventStream<T> implements Disposable {
  readonly #events: AsyncIterator<T>;
  readonly #own = new AbortController();
  readonly #stallMs: number;
  #stalled: GuestError | undefined;

  constructor(open: (signal: AbortSignal) => AsyncIterable<T>, options: StreamOptions) {
    this.#stallMs = options.stallMs;
    this.#events = open(anySignal(this.#own.signal, options.signal))[Symbol.asyncIterator]();
  }

  /** What comes next. Rejects when nothing does, in time or any more. */
  async next(): Promise<T> {
    const result = await this.#pull();
    if (result.done !== true) return result.value;
    throw new GuestError("unreachable", "the stream ended before its end was told");
  }

  /** Resolves when the guest has ended it, whatever still comes. */
  async ended(): Promise<void> {
    while ((await this.#pull()).done !== true) {
      // A sign of life.
    }
  }

  async #pull(): Promise<IteratorResult<T, unknown>> {
    const timer = setTimeout(() => this.#stall(), this.#stallMs);
    try {
      return await this.#events.next();
    } catch (reason) {
      throw this.#stalled ?? reason;
    } finally {
      clearTimeout(timer);
    }
  }

  /** Ends it; what waits for it rejects. */
  close(): void {
    this.#own.abort();
  }

  /** The same. */
  [Symbol.dispose](): void {
    this.close();
  }

  #stall(): void {
    this.#stalled = new GuestError("timeout", `nothing came for ${this.#stallMs} ms`);
    this.#own.abort(this.#stalled);
  }
}
