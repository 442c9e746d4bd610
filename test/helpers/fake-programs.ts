import { chmodSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";

/**
 * A directory that stands first in PATH for as long as it lives, with programs that note how they
 * were called.
 */
export class FakePrograms implements Disposable {
  readonly #directory = mkdtempSync(join(tmpdir(), "thaw-programs-"));
  readonly #path = process.env["PATH"];

  /** Without `keepsOthers`, PATH holds the fakes alone, and `sh` what they need. */
  constructor({ keepsOthers = true } = {}) {
    process.env["PATH"] = keepsOthers ? `${this.#directory}:${this.#path}` : this.#directory;
  }

  /** Adds a shell script called `name`. */
  add(name: string, script = ""): void {
    const path = join(this.#directory, name);
    writeFileSync(
      path,
      `#!/bin/sh\necho "${name} $*" >> "${join(this.#directory, "calls")}"\n${script}\n`,
    );
    chmodSync(path, 0o755);
  }

  /** Every call so far with its arguments, in their order. */
  calls(): string[] {
    try {
      return readFileSync(join(this.#directory, "calls"), "utf8").trimEnd().split("\n");
    } catch {
      return [];
    }
  }

  /** Forgets the calls so far. */
  forget(): void {
    rmSync(join(this.#directory, "calls"), { force: true });
  }

  [Symbol.dispose](): void {
    process.env["PATH"] = this.#path;
    rmSync(this.#directory, { recursive: true });
  }
}
