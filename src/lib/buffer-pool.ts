/**
 * Buffers of one size that are used again and again. Fresh ones by the thousand keep the garbage
 * collector busy: it counts their bytes, however short they live.
 */
export class BufferPool {
  readonly #bytes: number;
  readonly #most: number;
  readonly #free: Buffer[] = [];

  /** `bytes`: the size of each buffer; `most`: how many may lie idle. */
  constructor(bytes: number, most: number) {
    this.#bytes = bytes;
    this.#most = most;
  }

  /** A buffer with anything in it. */
  take(): Buffer {
    return this.#free.pop() ?? Buffer.allocUnsafeSlow(this.#bytes);
  }

  /** Takes back a buffer that nobody reads or writes any more. One never given back is collected. */
  give(buffer: Buffer): void {
    if (this.#free.length < this.#most) this.#free.push(buffer);
  }
}
