/**
 * Does something again and again while it is wanted and the page is seen: `ms` after it was done.
 * Nothing runs in a page that nobody looks at.
 */
export class Poll {
  readonly #ms: number;
  readonly #act: (signal: AbortSignal) => Promise<void>;
  #running: AbortController | undefined;
  #isWanted = false;

  /** `act` deals with its own failures. */
  constructor(ms: number, act: (signal: AbortSignal) => Promise<void>) {
    this.#ms = ms;
    this.#act = act;
    document.addEventListener("visibilitychange", () => this.#settle());
  }

  /** Begins, at once, or ends. */
  want(isWanted: boolean): void {
    this.#isWanted = isWanted;
    this.#settle();
  }

  /** Does it now and not only after the rest of the pause. */
  hurry(): void {
    this.#running?.abort();
    this.#running = undefined;
    this.#settle();
  }

  #settle(): void {
    const shouldRun = this.#isWanted && !document.hidden;
    if (!shouldRun) {
      this.#running?.abort();
      this.#running = undefined;
    } else if (this.#running === undefined) {
      this.#running = new AbortController();
      void this.#run(this.#running.signal);
    }
  }

  async #run(signal: AbortSignal): Promise<void> {
    while (!signal.aborted) {
      await this.#act(signal);
      await pause(this.#ms, signal);
    }
  }
}

function pause(ms: number, signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    const timer = setTimeout(done, ms);
    signal.addEventListener("abort", done, { once: true });
    function done(): void {
      clearTimeout(timer);
      signal.removeEventListener("abort", done);
      resolve();
    }
  });
}
