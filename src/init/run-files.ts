import { unlink, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { Lock } from "../lib/lock.ts";
import type { Logger } from "../log.ts";
import { makeDirectories } from "../system/make-directories.ts";

/** The small files by which programs in the guest learn where they are. */
export class RunFiles {
  readonly #directory: string;
  readonly #prefix: string;
  readonly #log: Logger;
  readonly #lock = new Lock();

  /** `prefix` begins the name of each file, as in `.E2B_SANDBOX`. */
  constructor(directory: string, prefix: string, log: Logger) {
    this.#directory = directory;
    this.#prefix = prefix;
    this.#log = log;
  }

  /** Says whether this is a virtual machine. */
  writeSandbox(isVm: boolean): Promise<void> {
    return this.#write({ SANDBOX: String(isVm) }, 0o444);
  }

  /** Says which sandbox this is, and what it was made from. */
  writeIds(sandboxId: string, templateId: string): Promise<void> {
    return this.#write({ SANDBOX_ID: sandboxId, TEMPLATE_ID: templateId }, 0o666);
  }

  /** Programs do without the files, so a failure is only logged. */
  async #write(files: Record<string, string>, mode: number): Promise<void> {
    using _ = await this.#lock.acquire();
    try {
      await makeDirectories(this.#directory, 0o755);
      for (const [name, text] of Object.entries(files)) {
        const path = join(this.#directory, `.${this.#prefix}_${name}`);
        // A file that exists would keep its mode.
        await unlink(path).catch(() => undefined);
        await writeFile(path, text, { mode, flag: "wx" });
      }
    } catch (error) {
      this.#log.warn({ err: error }, "run files are not written");
    }
  }
}
