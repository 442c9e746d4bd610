/** Flags and length, in front of every message of a stream in Connect, gRPC and gRPC-Web. */
const HEAD_BYTES = 5;

/** Where in the messages of a stream its bytes have come to. */
export class FramePosition {
  #head: number[] = [];
  #leftBytes = 0;

  /** Whether all that has come is whole messages. */
  get isBetween(): boolean {
    return this.#leftBytes === 0 && this.#head.length === 0;
  }

  /** More has come. */
  pass(chunk: Uint8Array): void {
    let at = 0;
    while (at < chunk.length) {
      if (this.#leftBytes > 0) {
        const taken = Math.min(this.#leftBytes, chunk.length - at);
        this.#leftBytes -= taken;
        at += taken;
        continue;
      }
      this.#head.push(chunk[at] as number);
      at += 1;
      if (this.#head.length === HEAD_BYTES) {
        this.#leftBytes = Buffer.from(this.#head).readUInt32BE(1);
        this.#head = [];
      }
    }
  }
}
