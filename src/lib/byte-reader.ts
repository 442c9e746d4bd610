import { nextTurn } from "./turns.ts";

/** How often it is read at a stretch, before everything else has its turn: a few milliseconds. */
const STRETCH = 256;

/** Reads chunks that come as they come in pieces of the lengths that its caller asks for. */
export class ByteReader {
  readonly #source: AsyncIterator<Uint8Array>;
  #rest: Buffer = Buffer.alloc(0);
  #reads = 0;

  /** Reads from `source`, and holds no more than the chunk that came last. */
  constructor(source: AsyncIterator<Uint8Array>) {
    this.#source = source;
  }

  /** Some bytes, at most `most`; none at the end. */
  async some(most: number): Promise<Buffer> {
    this.#reads += 1;
    if (this.#reads % STRETCH === 0) await nextTurn();
    while (this.#rest.length === 0) {
      const { value, done } = await this.#source.next();
      if (done === true) return this.#rest;
      this.#rest = Buffer.from(value.buffer, value.byteOffset, value.byteLength);
    }
    const taken = this.#rest.subarray(0, most);
    this.#rest = this.#rest.subarray(taken.length);
    return taken;
  }

  /** Exactly `length` bytes, or what is left at the end. */
  async exactly(length: number): Promise<Buffer> {
    const first = await this.some(length);
    if (first.length === length || first.length === 0) return first;
    const pieces = [first];
    for (let left = length - first.length; left > 0; ) {
      const piece = await this.some(left);
      if (piece.length === 0) break;
      pieces.push(piece);
      left -= piece.length;
    }
    return Buffer.concat(pieces);
  }

  /** Passes over so many bytes, or to the end. Returns how many there were. */
  async skip(length: number): Promise<number> {
    let left = length;
    while (left > 0) {
      const piece = await this.some(left);
      if (piece.length === 0) break;
      left -= piece.length;
    }
    return length - left;
  }
}
