import { GuestError, toFailure, toGuestError } from "./errors.ts";
import { anySignal } from "./patience.ts";

/** How long a guest may need. */
export interface TakingLimits {
  /** To take one message, in ms. */
  takeMs: number;
  /** To answer when it has all of them, in ms. */
  answerMs: number;
}

/**
 * Watches a call that sends: aborts it when the guest takes nothing for too long. The time that the
 * messages take to be made does not count.
 */
export class Taking implements Disposable {
  /** For the call. */
  readonly signal: AbortSignal;
  readonly #late = new AbortController();
  #timer: ReturnType<typeof setTimeout> | undefined;
  #localFailure: GuestError | undefined;

  /** `signal` aborts the call as well. */
  constructor(signal: AbortSignal | undefined) {
    this.signal = anySignal(this.#late.signal, signal);
  }

  /** The messages, for the call. Each is asked for when the one before has been taken. */
  async *watch<T>(messages: AsyncIterable<T>, limits: TakingLimits): AsyncGenerator<T> {
    for await (const message of this.#made(messages)) {
      this.#expect(limits.takeMs);
      yield message;
      clearTimeout(this.#timer);
    }
    this.#expect(limits.answerMs);
  }

  /** Remembers what they fail with, which the transport gives as a failure of its own. */
  async *#made<T>(messages: AsyncIterable<T>): AsyncGenerator<T> {
    try {
      yield* messages;
    } catch (reason) {
      this.#localFailure = toGuestError(reason);
      throw reason;
    }
  }

  /** What the call has really failed with. */
  failureOf(reason: unknown): GuestError {
    if (this.#localFailure !== undefined) return this.#localFailure;
    return this.#late.signal.aborted ? this.#late.signal.reason : toFailure(reason);
  }

  [Symbol.dispose](): void {
    clearTimeout(this.#timer);
  }

  #expect(ms: number): void {
    clearTimeout(this.#timer);
    const late = () =>
      this.#late.abort(new GuestError("timeout", `the guest took nothing for ${ms} ms`));
    this.#timer = setTimeout(late, ms);
  }
}
