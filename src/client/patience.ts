import { sleep } from "../lib/sleep.ts";
import { GuestError, isCut, toCut, toGuestError } from "./errors.ts";

const FIRST_DELAY_MS = 50;
const MOST_DELAY_MS = 2_000;
/** How long a guest may be out of reach, in ms, before what waits for it gives up. */
export const GIVE_UP_AFTER_MS = 120_000;

/** How long to try, and who hears of it. */
export interface PatienceOptions {
  /** Gives up after so long without a single answer, in ms. Default 120,000. */
  giveUpAfterMs?: number | undefined;
  /** Gives up at once. */
  signal?: AbortSignal | undefined;
  /** Told once when an outage begins. */
  onInterrupted?: ((reason: GuestError) => void) | undefined;
  /** Told when it is over. */
  onResumed?: (() => void) | undefined;
}

/**
 * Decides when something that was cut off is tried again: the first time at once, then after delays
 * that double from 50 ms to 2 s, each a little shorter at random so that many do not come at once.
 */
export class Patience {
  readonly #options: PatienceOptions;
  #lastAnswer = performance.now();
  #failures = 0;
  #isInterrupted = false;

  constructor(options: PatienceOptions) {
    this.#options = options;
  }

  /** The guest has answered: the time after which to give up begins anew. */
  answered(): void {
    this.#lastAnswer = performance.now();
    if (!this.#isInterrupted) return;
    this.#isInterrupted = false;
    this.#options.onResumed?.();
  }

  /** Something got further: the next cut is the first again. An answer alone would be a storm. */
  progressed(): void {
    this.#failures = 0;
  }

  /**
   * Waits until it is time for the next attempt. Throws `reason` when the guest was out of reach for
   * too long, and what `signal` was aborted with.
   */
  async afterCut(reason: GuestError): Promise<void> {
    const { giveUpAfterMs = GIVE_UP_AFTER_MS, signal, onInterrupted } = this.#options;
    signal?.throwIfAborted();
    if (!this.#isInterrupted) {
      this.#isInterrupted = true;
      onInterrupted?.(reason);
    }
    const delayMs = this.#nextDelay();
    const left = this.#lastAnswer + giveUpAfterMs - performance.now();
    if (left < delayMs) throw reason;
    if (delayMs > 0) await sleep(delayMs, signal);
    signal?.throwIfAborted();
  }

  #nextDelay(): number {
    const failures = this.#failures++;
    if (failures === 0) return 0;
    const longest = Math.min(MOST_DELAY_MS, FIRST_DELAY_MS * 2 ** (failures - 1));
    return longest * (0.5 + Math.random() / 2);
  }
}

/** A call that may be made twice, and how it is made again. */
export interface RepeatOptions extends PatienceOptions {
  /** How long one attempt may take, in ms. */
  attemptMs: number;
}

/**
 * Makes a call that may be made twice until the guest has answered. `call` is told which attempt it
 * is, from 1. Throws the guest's refusal as a `GuestError`.
 */
export async function untilAnswered<T>(
  call: (options: { timeoutMs: number; signal?: AbortSignal }, attempt: number) => Promise<T>,
  options: RepeatOptions,
): Promise<T> {
  const { attemptMs: timeoutMs, signal } = options;
  const patience = new Patience(options);
  for (let attempt = 1; ; attempt++) {
    try {
      return await call(signal === undefined ? { timeoutMs } : { timeoutMs, signal }, attempt);
    } catch (reason) {
      signal?.throwIfAborted();
      if (!isCut(reason)) throw toGuestError(reason);
      await patience.afterCut(toCut(reason));
    }
  }
}

/** A signal that aborts with any of these; a handle's own end and its caller's, for example. */
export function anySignal(...signals: readonly (AbortSignal | undefined)[]): AbortSignal {
  return AbortSignal.any(signals.filter((signal) => signal !== undefined));
}

/** What a handle that was left fails with. */
export function left(what: string): GuestError {
  return new GuestError("canceled", `${what} was left`);
}
