import { write, writev } from "node:fs";
import { freeBytes } from "../lib/free-bytes.ts";

/** How much is collected before it is written: a smaller body is written by one call. */
export const BATCH_BYTES = 1024 * 1024;
/** The most buffers that one system call takes. */
const MOST_CHUNKS = 1_024;

/**
 * Writes a body to a descriptor in large batches: one is being written while the next is
 * collected. Holds two batches at most, if its caller waits when it is asked to.
 */
export class BatchWriter {
  readonly #open: () => Promise<number>;
  #chunks: Uint8Array[] = [];
  #bytes = 0;
  #position = 0;
  #writing: Promise<void> | undefined;

  /** `open` gives the descriptor; it is called once, and only when a batch is full. */
  constructor(open: () => Promise<number>) {
    let opened: Promise<number> | undefined;
    this.#open = () => (opened ??= open());
  }

  /** How many bytes were pushed. */
  get totalBytes(): number {
    return this.#position + this.#bytes;
  }

  /**
   * Takes `chunk` for good: its memory is given back once it is written. A promise asks the caller
   * to wait before the next one, and rejects when nothing can be written.
   */
  push(chunk: Uint8Array): Promise<void> | undefined {
    this.#chunks.push(chunk);
    this.#bytes += chunk.byteLength;
    if (this.#chunks.length >= MOST_CHUNKS) this.#chunks = [Buffer.concat(this.#chunks)];
    if (this.#bytes < BATCH_BYTES) return undefined;
    const before = this.#writing;
    if (before === undefined) return void this.#writeBatch();
    return before.then(() => void this.#writeBatch());
  }

  /** What has been pushed and not written, which is everything while less than a batch. */
  takeRest(): Uint8Array[] {
    const rest = this.#chunks;
    this.#position += this.#bytes;
    this.#chunks = [];
    this.#bytes = 0;
    return rest;
  }

  /** Waits for what is being written, and rejects when it cannot be. */
  async settle(): Promise<void> {
    await this.#writing;
  }

  /** Writes what is left. */
  async finish(): Promise<void> {
    await this.settle();
    if (this.#bytes > 0) await this.#writeBatch();
  }

  /** Starts to write the batch. One that failed makes every later one fail. */
  #writeBatch(): Promise<void> {
    const position = this.#position;
    const batch = this.takeRest();
    const writing = this.#open().then((fd) => writeAndFree(fd, batch, position));
    this.#writing = writing;
    const settled = () => {
      if (this.#writing === writing) this.#writing = undefined;
    };
    writing.then(settled, () => {});
    return writing;
  }
}

async function writeAndFree(fd: number, chunks: readonly Uint8Array[], position: number) {
  await writeAll(fd, chunks, position);
  for (const chunk of chunks) freeBytes(chunk);
}

/** Writes all of `chunks` at `position`, however many calls that takes. */
export async function writeAll(
  fd: number,
  chunks: readonly Uint8Array[],
  position: number,
): Promise<void> {
  let left = [...chunks];
  for (let at = position; left.length > 0; ) {
    const written = await writeSome(fd, left, at);
    at += written;
    left = withoutFirst(left, written);
  }
}

function writeSome(fd: number, chunks: Uint8Array[], position: number): Promise<number> {
  return new Promise((resolve, reject) => {
    const done = (error: Error | null, written: number) =>
      error === null ? resolve(written) : reject(error);
    const [first] = chunks;
    if (chunks.length === 1 && first !== undefined) {
      write(fd, first, 0, first.byteLength, position, done);
    } else writev(fd, chunks, position, done);
  });
}

/** What is left of `chunks` after so many bytes. */
function withoutFirst(chunks: Uint8Array[], bytes: number): Uint8Array[] {
  let skipped = 0;
  for (const [index, chunk] of chunks.entries()) {
    if (skipped + chunk.byteLength > bytes) {
      return [chunk.subarray(bytes - skipped), ...chunks.slice(index + 1)];
    }
    skipped += chunk.byteLength;
  }
  return [];
}
