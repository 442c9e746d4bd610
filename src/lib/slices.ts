/** How long pieces are worked on before everything else has its turn, in ms. */
const SLICE_MS = 2;

/**
 * Works on pieces in the order they came, a few milliseconds at a time: what comes from outside
 * meanwhile never waits for all of them. A piece is small, as it is not cut up any further.
 */
export class Slices {
  #pieces: (() => void)[] = [];
  #done = 0;
  #isScheduled = false;

  /** Works on `piece` in one of the next turns of the event loop. */
  add(piece: () => void): void {
    this.#pieces.push(piece);
    this.#schedule();
  }

  #schedule(): void {
    if (this.#isScheduled) return;
    this.#isScheduled = true;
    setImmediate(() => this.#work());
  }

  #work(): void {
    this.#isScheduled = false;
    const end = performance.now() + SLICE_MS;
    try {
      while (this.#done < this.#pieces.length && performance.now() < end) this.#next();
    } finally {
      // Also when one has failed: the others are not to blame.
      this.#tidy();
      if (this.#pieces.length > 0) this.#schedule();
    }
  }

  #next(): void {
    const piece = this.#pieces[this.#done] as () => void;
    this.#done += 1;
    piece();
  }

  #tidy(): void {
    this.#pieces = this.#pieces.slice(this.#done);
    this.#done = 0;
  }
}
