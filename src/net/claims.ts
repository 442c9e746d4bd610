/** For how long a count is good enough, in ms: thousands of streams may ask for it at once. */
const FRESH_MS = 50;

/** Who waits for a connection to move. */
export interface Claim {
  isWaiting(): boolean;
}

/** The streams of one connection that may wait for it. */
export class Claims {
  readonly #claims = new Set<Claim>();
  #isOne = true;
  #countedAt = Number.NEGATIVE_INFINITY;

  /** One more may wait. */
  add(claim: Claim): void {
    this.#claims.add(claim);
  }

  /** It waits no more. */
  delete(claim: Claim): void {
    this.#claims.delete(claim);
  }

  /** Whether one at most waits, so that what the connection moves is for that one. */
  get isOne(): boolean {
    const now = performance.now();
    if (now - this.#countedAt < FRESH_MS) return this.#isOne;
    this.#countedAt = now;
    let waiting = 0;
    for (const claim of this.#claims) {
      if (claim.isWaiting()) waiting += 1;
      if (waiting > 1) break;
    }
    this.#isOne = waiting <= 1;
    return this.#isOne;
  }
}
