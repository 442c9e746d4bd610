import { execFileSync } from "node:child_process";
import { closeSync, constants, mkdtempSync, openSync, readSync, rmSync, writeSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";

/** A named pipe from which nobody reads until the test does. */
export class UnreadPipe implements Disposable {
  readonly #directory = mkdtempSync(join(tmpdir(), "thaw-pipe-"));
  readonly #path = join(this.#directory, "pipe");
  #reader: number | undefined;
  #text = "";
  /** A writing end as a supervisor hands it on: who writes to it waits. */
  readonly fd: number;

  constructor() {
    execFileSync("mkfifo", [this.#path]);
    this.openReader();
    this.fd = openSync(this.#path, "w");
  }

  /** Is there again to read. */
  openReader(): void {
    this.#reader = openSync(this.#path, constants.O_RDONLY | constants.O_NONBLOCK);
  }

  /** Is gone. */
  closeReader(): void {
    if (this.#reader !== undefined) closeSync(this.#reader);
    this.#reader = undefined;
  }

  /** Fills the pipe to the last byte. */
  fill(): void {
    const fd = openSync(this.#path, constants.O_WRONLY | constants.O_NONBLOCK);
    const page = Buffer.alloc(4_096, "\n");
    try {
      for (;;) writeSync(fd, page);
    } catch {
      closeSync(fd);
    }
  }

  /** Reads what is there by now. Returns all lines that have come so far. */
  lines(): string[] {
    const chunk = Buffer.alloc(65_536);
    try {
      for (;;) {
        const length = readSync(this.#reader ?? -1, chunk);
        if (length === 0) break;
        this.#text += chunk.toString("latin1", 0, length);
      }
    } catch {
      // It is empty.
    }
    return this.#text.split("\n").filter((line) => line !== "");
  }

  [Symbol.dispose](): void {
    this.closeReader();
    closeSync(this.fd);
    rmSync(this.#directory, { recursive: true });
  }
}
