/**
 * Lets several wait for the same thing to happen, each for a time of its own. Whoever waits looks
 * again after being woken.
 */
export class WakeUp {
  readonly #waiting = new Set<() => void>();

  /** Wakes all who wait. */
  wake(): void {
    for (const settle of this.#waiting) settle();
  }

  /**
   * `true` when woken, `false` when `ms` milliseconds have passed. Rejects with the reason of
   * `signal`.
   */
  wait(ms: number, signal: AbortSignal): Promise<boolean> {
    signal.throwIfAborted();
    return new Promise((resolve, reject) => {
      const leave = () => {
        clearTimeout(timer);
        signal.removeEventListener("abort", onAbort);
        this.#waiting.delete(onWake);
      };
      const onWake = () => {
        leave();
        resolve(true);
      };
      const onAbort = () => {
        leave();
        reject(signal.reason as Error);
      };
      const timer = setTimeout(() => {
        leave();
        resolve(false);
      }, ms);
      signal.addEventListener("abort", onAbort);
      this.#waiting.add(onWake);
    });
  }
}
