import { mkdir } from "node:fs/promises";
import { join } from "node:path";
import { messageOf } from "../lib/error-text.ts";
import type { Logger } from "../log.ts";
import { randomText } from "../system/random.ts";
import { replaceFile } from "../system/replace-file.ts";

/** 131 bits of the kernel's randomness. */
const ID_LENGTH = 22;

/**
 * Which life of the machine this is. Programs learn of a new one from a file of one line of JSON,
 * which is put in place by rename, so that watching its directory shows it.
 */
export class Generation {
  readonly #path: string;
  readonly #directory: string;
  readonly #log: Logger;
  #number = 1;
  #id = randomText(ID_LENGTH);
  #restoredAt: string | null = null;
  #isWritable = false;
  #writing: Promise<void> = Promise.resolve();

  /** `directory` is made when it is missing. */
  constructor({ directory, log }: { directory: string; log: Logger }) {
    this.#directory = directory;
    this.#path = join(directory, "generation");
    this.#log = log;
  }

  /** Grows with every restore; 1 at first. */
  get number(): number {
    return this.#number;
  }

  /** Drawn anew with every restore: two clones never share it. */
  get id(): string {
    return this.#id;
  }

  /** Where programs read both; empty where that cannot be written. */
  get file(): string {
    return this.#isWritable ? this.#path : "";
  }

  /** Writes the file for the first time. */
  start(): void {
    this.#write();
  }

  /** A new life has begun. */
  advance(): void {
    this.#number += 1;
    this.#id = randomText(ID_LENGTH);
    this.#restoredAt = new Date().toISOString();
    this.#write();
  }

  /** Resolves when nothing is left to be written. */
  close(): Promise<void> {
    return this.#writing;
  }

  /** In the background and one after the other: the file system may be frozen still. */
  #write(): void {
    const content = { generation: this.#number, id: this.#id, restored_at: this.#restoredAt };
    const bytes = Buffer.from(`${JSON.stringify(content)}\n`);
    this.#writing = this.#writing.then(async () => {
      try {
        await mkdir(this.#directory, { recursive: true });
        await replaceFile(this.#path, bytes, 0o644);
        this.#isWritable = true;
      } catch (reason) {
        if (this.#isWritable || this.#number === 1) {
          const details = { path: this.#path, reason: messageOf(reason) };
          this.#log.warn(details, "programs cannot be told the generation");
        }
        this.#isWritable = false;
      }
    });
  }
}
