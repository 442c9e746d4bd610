/** How much is read ahead of a guest that is slower, in bytes. */
const AHEAD_BYTES = 1024 * 1024;

/**
 * Our own stdin, read ahead a little: what has come while the last part was being sent goes in
 * one piece. Ends with stdin or with `close`.
 */
export class ByteInput implements AsyncIterable<Uint8Array> {
  readonly #stream: NodeJS.ReadStream;
  #parts: Buffer[] = [];
  #bytes = 0;
  #isEnded = false;
  #wake: (() => void) | undefined;

  constructor(stream: NodeJS.ReadStream = process.stdin) {
    this.#stream = stream;
    stream.on("data", this.#onData).on("end", this.#onEnd).on("error", this.#onEnd);
  }

  async *[Symbol.asyncIterator](): AsyncIterator<Uint8Array> {
    for (;;) {
      if (this.#bytes > 0) {
        const all = Buffer.concat(this.#parts);
        this.#parts = [];
        this.#bytes = 0;
        this.#stream.resume();
        yield all;
      } else if (this.#isEnded) return;
      else await new Promise<void>((resolve) => (this.#wake = resolve));
    }
  }

  /** Reads no more. */
  close(): void {
    this.#stream.off("data", this.#onData).off("end", this.#onEnd).off("error", this.#onEnd);
    this.#stream.pause();
    this.#onEnd();
  }

  readonly #onData = (bytes: Buffer | string): void => {
    const part = typeof bytes === "string" ? Buffer.from(bytes) : bytes;
    this.#parts.push(part);
    this.#bytes += part.length;
    if (this.#bytes >= AHEAD_BYTES) this.#stream.pause();
    this.#wake?.();
  };

  // A terminal that is gone fails with EIO, which is its end.
  readonly #onEnd = (): void => {
    this.#isEnded = true;
    this.#wake?.();
  };
}
