/** Does several things at once, but never two for the same name. */
export class Batch {
  readonly #most: number;
  readonly #running = new Map<string, Promise<void>>();
  #failure: { reason: unknown } | undefined;

  /** `most`: how many at once. */
  constructor(most: number) {
    this.#most = most;
  }

  /**
   * Begins `act` once there is room, and nothing is done for `name` any more. Rejects with what one
   * before it has failed with.
   */
  async add(name: string, act: () => Promise<void>): Promise<void> {
    while (this.#running.size >= this.#most) await Promise.race(this.#running.values());
    await this.#running.get(name);
    this.#check();
    const running = act()
      .catch((reason: unknown) => {
        this.#failure ??= { reason };
      })
      .then(() => void this.#running.delete(name));
    this.#running.set(name, running);
  }

  /** Waits for all, and rejects with what the first of them has failed with, once. */
  async settle(): Promise<void> {
    await Promise.all(this.#running.values());
    this.#check();
  }

  #check(): void {
    const failure = this.#failure;
    this.#failure = undefined;
    if (failure !== undefined) throw failure.reason;
  }
}
