/** How often something may happen. */
export interface RateLimit {
  /** How often at once. */
  burst: number;
  /** How often again in each second after that. */
  perSecond: number;
}

/** Counts what happens against a limit, without any timer. */
export class RateMeter {
  readonly #limit: RateLimit;
  readonly #now: () => number;
  #left: number;
  #countedAt: number;

  /** `now`: a monotonic clock in ms. */
  constructor(limit: RateLimit, now: () => number = () => performance.now()) {
    this.#limit = limit;
    this.#now = now;
    this.#left = limit.burst;
    this.#countedAt = now();
  }

  /** It has happened once more. Returns whether that is too often. */
  count(): boolean {
    const now = this.#now();
    const regained = ((now - this.#countedAt) / 1_000) * this.#limit.perSecond;
    this.#left = Math.min(this.#limit.burst, this.#left + regained) - 1;
    this.#countedAt = now;
    return this.#left < 0;
  }
}
