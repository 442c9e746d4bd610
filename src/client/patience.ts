import { sleep } from "../lib/sleep.ts";
import { type GuestError, isCut, toCut, toGuestError } from "./errors.ts";

const FIRST_DELAY_MS = 50;
const MOST_DELAY_MS = 2_000;
/** How long a guest may be out of reach, in ms, before what waits for it gives up. */
const GIVE_UP_AFTER_MS = 120_000;

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
  /** When the outage began that lasts; the time before it may have been silent for long. */
  #interruptedAt: number | undefined;
  #failures = 0;

  constructor(options: PatienceOptions) {
    this.#options = options;
  }

  /** The guest has answered: an outage is over. */
  answered(): void {
    if (this.#interruptedAt === undefined) return;
    this.#interruptedAt = undefined;
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
    if (this.#interruptedAt === undefined) {
      this.#interruptedAt = performance.now();
      onInterrupted?.(reason);
    }
    const delayMs = this.#nextDelay();
    const lasted = performance.now() - this.#interruptedAt;
    if (lasted + delayMs >= giveUpAfterMs) throw reason;
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
      const answer = await call({ timeoutMs, ...withSignal(signal) }, attempt);
      patience.answered();
      return answer;
    } catch (reason) {
      signal?.throwIfAborted();
      if (!isCut(reason)) throw toGuestError(reason);
      await patience.afterCut(toCut(reason));
    }
  }
}

/** What a call takes, with a signal or without one. */
export function withSignal(signal: AbortSignal | undefined): { signal?: AbortSignal } {
  return signal === undefined ? {} : { signal };
}

/** A signal that aborts with any of these; a handle's own end and its caller's, for example. */
export function anySignal(...signals: readonly (AbortSignal | undefined)[]): AbortSignal {
  return AbortSignal.any(signals.filter((signal) => signal !== undefined));
}
