/** Lets one at a time through, in the order of arrival. */
export class Lock {
  #isHeld = false;
  readonly #waiting = new Set<() => void>();

  /**
   * Waits for the turn; disposing what it returns passes it on. Rejects with the reason of
   * `signal` as soon as that aborts.
   */
  async acquire(signal?: AbortSignal): Promise<Disposable> {
    signal?.throwIfAborted();
    if (this.#isHeld) await this.#turn(signal);
    this.#isHeld = true;
    return { [Symbol.dispose]: this.#releaseOnce() };
  }

  /** Takes the turn if nobody has it, and returns `undefined` otherwise. */
  tryAcquire(): Disposable | undefined {
    if (this.#isHeld) return undefined;
    this.#isHeld = true;
    return { [Symbol.dispose]: this.#releaseOnce() };
  }

  #turn(signal: AbortSignal | undefined): Promise<void> {
    return new Promise((resolve, reject) => {
      const onTurn = () => {
        signal?.removeEventListener("abort", onAbort);
        resolve();
      };
      const onAbort = () => {
        this.#waiting.delete(onTurn);
        reject(signal?.reason as Error);
      };
      signal?.addEventListener("abort", onAbort, { once: true });
      this.#waiting.add(onTurn);
    });
  }

  #releaseOnce(): () => void {
    let isReleased = false;
    return () => {
      if (isReleased) return;
      isReleased = true;
      const [next] = this.#waiting;
      // Handed on without letting go, so that nobody who comes now overtakes.
      if (next === undefined) this.#isHeld = false;
      else this.#waiting.delete(next);
      next?.();
    };
  }
}
