import type { Stats } from "node:fs";

/** Ends a hold; calling it twice does nothing. */
export type Release = () => void;

/** Lets one upload at a time write to a file, whatever path it was reached by. */
export class InodeLocks {
  readonly #held = new Map<string, Promise<void>>();

  /** Holds the file if nobody does. */
  tryHold(stats: Stats): Release | undefined {
    const key = `${stats.dev}:${stats.ino}`;
    if (this.#held.has(key)) return undefined;
    let resolve!: () => void;
    const freed = new Promise<void>((done) => {
      resolve = done;
    });
    this.#held.set(key, freed);
    return () => {
      if (this.#held.get(key) === freed) this.#held.delete(key);
      resolve();
    };
  }

  /** Holds the file as soon as it is free. Aborting `signal` gives up. */
  async hold(stats: Stats, signal: AbortSignal): Promise<Release> {
    for (;;) {
      signal.throwIfAborted();
      const release = this.tryHold(stats);
      if (release !== undefined) return release;
      await this.#freed(`${stats.dev}:${stats.ino}`, signal);
    }
  }

  async #freed(key: string, signal: AbortSignal): Promise<void> {
    let giveUp!: () => void;
    const aborted = new Promise<void>((resolve) => {
      giveUp = resolve;
      signal.addEventListener("abort", giveUp, { once: true });
    });
    await Promise.race([this.#held.get(key), aborted]);
    signal.removeEventListener("abort", giveUp);
  }
}
