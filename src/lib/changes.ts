/** Tells several listeners that something has changed; changes they have not seen yet are one. */
export class Changes {
  readonly #listeners = new Set<() => void>();

  /** Something has changed. */
  tell(): void {
    for (const onChange of this.#listeners) onChange();
  }

  /** What `read` gives now and after every change, until `signal` aborts. */
  async *follow<T>(read: () => T, signal: AbortSignal): AsyncIterable<T> {
    let hasChanged = true;
    let wake: (() => void) | undefined;
    const onChange = () => {
      hasChanged = true;
      wake?.();
    };
    this.#listeners.add(onChange);
    signal.addEventListener("abort", onChange);
    try {
      while (!signal.aborted) {
        if (hasChanged) {
          hasChanged = false;
          yield read();
          continue;
        }
        await new Promise<void>((resolve) => {
          wake = resolve;
        });
      }
    } finally {
      this.#listeners.delete(onChange);
      signal.removeEventListener("abort", onChange);
    }
  }
}
