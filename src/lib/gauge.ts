/** Counts what is under way. */
export class Gauge {
  #count = 0;

  /** How many have entered and not left. */
  get count(): number {
    return this.#count;
  }

  /** One more; disposing what it returns, once or several times, takes it away. */
  enter(): Disposable {
    this.#count += 1;
    let isInside = true;
    return {
      [Symbol.dispose]: () => {
        if (isInside) this.#count -= 1;
        isInside = false;
      },
    };
  }
}
