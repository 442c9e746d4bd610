import { mkdir } from "node:fs/promises";
import { join } from "node:path";
import { messageOf } from "../lib/error-text.ts";
import type { Logger } from "../log.ts";
import { randomText } from "../system/random.ts";
import { replaceFile } from "../system/replace-file.ts";
import type { GenerationKeeper } from "./participants.ts";

/** 131 bits of the kernel's randomness. */
const ID_LENGTH = 22;
/** Everybody may read, whatever mask the agent was started with. */
const DIRECTORY_MODE = 0o755;
const FILE_MODE = 0o644;

/**
 * Which life of the machine this is. Programs learn of a new one from a file of one line of JSON,
 * which is put in place by rename, so that watching its directory shows it.
 */
export class Generation implements GenerationKeeper {
  readonly #path: string;
  readonly #directory: string;
  readonly #log: Logger;
  #number = 1;
  #id = randomText(ID_LENGTH);
  #restoredAt: string | null = null;
  #isWritten = false;
  #hasWarned = false;
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
    return this.#isWritten ? this.#path : "";
  }

  /** Writes the file for the first time. */
  start(): void {
    this.#write();
  }

  /**
   * A new life has begun. When, is told by the guest's own clock, which the host may not have set
   * yet.
   */
  advance(): void {
    this.#number += 1;
    this.#id = randomText(ID_LENGTH);
    this.#restoredAt = new Date().toISOString();
    this.#write();
  }

  /** Draws the id of this life again, as the kernel's generator has something new to draw from. */
  renew(): void {
    this.#id = randomText(ID_LENGTH);
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
    this.#writing = this.#writing.then(() => this.#replace(bytes));
  }

  async #replace(bytes: Buffer): Promise<void> {
    try {
      await mkdir(this.#directory, { recursive: true, mode: DIRECTORY_MODE });
      await replaceFile(this.#path, bytes, FILE_MODE);
      this.#isWritten = true;
    } catch (reason) {
      this.#isWritten = false;
      const details = { path: this.#path, reason: messageOf(reason) };
      if (!this.#hasWarned) this.#log.warn(details, "programs cannot be told the generation");
      this.#hasWarned = true;
    }
  }
}
