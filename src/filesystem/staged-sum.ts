import type { Stats } from "node:fs";
import { Sha256 } from "../lib/sha256.ts";
import { writeAll } from "./batch-writer.ts";
import { readAt } from "./copy.ts";

const READ_BYTES = 1024 * 1024;

/** What is known of a staged file while it is closed: which it is, how long it is, and its sum. */
export class StagedSum {
  #inode: { dev: number; ino: number } | undefined;
  #bytes = 0;
  /** Of the first `#hashedBytes` bytes; less than all when bytes came in another life. */
  #hash = new Sha256();
  #hashedBytes = 0;

  /** How many bytes the file has. */
  get bytes(): number {
    return this.#bytes;
  }

  /** The file is an empty one, not known yet. */
  begin(): void {
    this.#inode = undefined;
    this.#bytes = 0;
    this.#hash = new Sha256();
    this.#hashedBytes = 0;
  }

  /** Whether this is the file, or, when none is known yet, one that the agent may go on with. */
  accepts(stats: Stats): boolean {
    if (this.#inode !== undefined) {
      const isSame = stats.dev === this.#inode.dev && stats.ino === this.#inode.ino;
      return isSame && stats.size >= this.#bytes;
    }
    const isOurs = stats.isFile() && stats.nlink === 1 && stats.uid === process.geteuid?.();
    if (!isOurs || (stats.mode & 0o777) !== 0o600) return false;
    this.#inode = { dev: stats.dev, ino: stats.ino };
    this.#bytes = stats.size;
    return true;
  }

  /** Writes `bytes` to the end of the file. */
  async add(fd: number, bytes: Uint8Array): Promise<void> {
    await this.#catchUp(fd);
    const hash = this.#hash;
    const [written] = await Promise.allSettled([
      writeAll(fd, [bytes], this.#bytes),
      hash.update(bytes),
    ]);
    if (written.status === "rejected") {
      // The sum is ahead of the file now: it is made anew, from what is there.
      this.#hash = new Sha256();
      this.#hashedBytes = 0;
      throw written.reason;
    }
    this.#bytes += bytes.length;
    this.#hashedBytes = this.#bytes;
  }

  /** The SHA-256 of the file. */
  async digest(fd: number): Promise<Buffer> {
    await this.#catchUp(fd);
    return this.#hash.digest();
  }

  async #catchUp(fd: number): Promise<void> {
    if (this.#hashedBytes === this.#bytes) return;
    const buffer = Buffer.allocUnsafeSlow(Math.min(READ_BYTES, this.#bytes - this.#hashedBytes));
    while (this.#hashedBytes < this.#bytes) {
      const wanted = Math.min(buffer.length, this.#bytes - this.#hashedBytes);
      const length = await readAt(fd, buffer.subarray(0, wanted), this.#hashedBytes);
      if (length === 0) throw new Error("the staged file became shorter");
      await this.#hash.update(buffer.subarray(0, length));
      this.#hashedBytes += length;
    }
  }
}
