import { constants, type FileHandle, open, readFile } from "node:fs/promises";
import { dirname } from "node:path";
import { AgentError } from "../errors.ts";
import { Lock } from "../lib/lock.ts";
import type { Logger } from "../log.ts";
import { makeDirectories } from "../system/make-directories.ts";
import { replaceFile } from "../system/replace-file.ts";

const NEWLINE = 0x0a;

/** Where certificates are kept. */
export interface CaFiles {
  /** What programs trust. */
  caBundleFile: string;
  /** From where the system's own tool builds the bundle anew. */
  caExtraFile: string;
}

/** The certificates that programs of the guest trust, with those of the host among them. */
export class CaBundle {
  readonly #files: CaFiles;
  readonly #log: Logger;
  readonly #lock = new Lock();
  #installed: string | undefined;
  /** What was installed before and is still to be taken out. */
  readonly #stale = new Set<string>();
  #background: Promise<void> = Promise.resolve();

  constructor(files: CaFiles, log: Logger) {
    this.#files = files;
    this.#log = log;
  }

  /**
   * Trusts the certificates in `pem` from now on. Those installed before are taken out a little
   * later. The same ones again are nothing to do. Throws `unavailable` when `signal` aborts while
   * the bundle is being rewritten, and `invalid` when there is no bundle.
   */
  async install(pem: string, signal: AbortSignal): Promise<void> {
    const normalised = `${withoutLastNewlines(pem)}\n`;
    using _ = await this.#lock.acquire(signal).catch((cause: unknown) => {
      throw new AgentError("unavailable", "the CA bundle is being rewritten", { cause });
    });
    if (this.#installed === normalised) return;
    await this.#append(normalised);
    if (this.#installed !== undefined) this.#stale.add(this.#installed);
    this.#installed = normalised;
    this.#background = this.#settle(normalised).catch((error: unknown) => {
      this.#log.error({ err: error }, "CA bundle is not tidied");
    });
  }

  /** Waits until nothing is being written any more. */
  async close(): Promise<void> {
    await this.#background;
  }

  async #append(pem: string): Promise<void> {
    let file: FileHandle;
    try {
      file = await open(this.#files.caBundleFile, constants.O_RDWR | constants.O_APPEND);
    } catch (cause) {
      throw new AgentError("invalid", `CA bundle: ${(cause as Error).message}`, { cause });
    }
    try {
      const { size } = await file.stat();
      const isLineOpen = size > 0 && (await lastByte(file, size)) !== NEWLINE;
      await appendWhole(file, `${isLineOpen ? "\n" : ""}${pem}`, size);
    } finally {
      await file.close();
    }
  }

  async #settle(installed: string): Promise<void> {
    using _ = await this.#lock.acquire();
    // Somebody newer has come meanwhile and does all of it.
    if (this.#installed !== installed) return;
    await makeDirectories(dirname(this.#files.caExtraFile), 0o755);
    await replaceFile(this.#files.caExtraFile, Buffer.from(installed), 0o644);
    if (this.#stale.size === 0) return;
    const bundle = await readFile(this.#files.caBundleFile, "latin1");
    const cleaned = `${without(bundle, [...this.#stale, installed])}${toLatin1(installed)}`;
    await replaceFile(this.#files.caBundleFile, Buffer.from(cleaned, "latin1"), 0o644);
    this.#stale.clear();
  }
}

/** Not by a pattern, which takes quadratic time where there are many newlines before the last. */
function withoutLastNewlines(text: string): string {
  let end = text.length;
  while (end > 0 && text[end - 1] === "\n") end -= 1;
  return text.slice(0, end);
}

/** The longest first, as one may be a part of another. */
function without(bundle: string, pems: readonly string[]): string {
  const byLength = [...pems].sort((a, b) => b.length - a.length);
  return byLength.reduce((rest, pem) => rest.replaceAll(toLatin1(pem), ""), bundle);
}

/** One byte, one character: what others have written comes out as it went in. */
function toLatin1(text: string): string {
  return Buffer.from(text).toString("latin1");
}

async function lastByte(file: FileHandle, size: number): Promise<number | undefined> {
  const { buffer, bytesRead } = await file.read(Buffer.alloc(1), 0, 1, size - 1);
  return bytesRead === 1 ? buffer[0] : undefined;
}

/** Half a certificate would spoil the bundle for everybody: it is taken back. */
async function appendWhole(file: FileHandle, text: string, size: number): Promise<void> {
  try {
    await file.writeFile(text);
  } catch (error) {
    await file.truncate(size).catch(() => undefined);
    throw error;
  }
}
