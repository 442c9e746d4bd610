import { createHash, type Hash } from "node:crypto";
import { constants } from "node:fs";
import { type FileHandle, open, readdir, rename, rm } from "node:fs/promises";
import { basename, dirname, join } from "node:path";
import { GuestError } from "./errors.ts";

const CHUNK_BYTES = 1024 * 1024;
/** How much of a version's checksum stands in the name of a part. */
const VERSION_DIGITS = 16;

/**
 * A local file on its way, beside the place where it shall be: `.name.VERSION.part`. What an earlier
 * run has left of the same version is gone on with, and what is left of others is removed.
 */
export class PartFile implements AsyncDisposable {
  readonly #path: string;
  readonly #target: string;
  readonly #file: FileHandle;
  readonly #hash: Hash;
  #bytes: number;

  private constructor(paths: { path: string; target: string }, file: FileHandle, read: Read) {
    this.#path = paths.path;
    this.#target = paths.target;
    this.#file = file;
    this.#hash = read.hash;
    this.#bytes = read.bytes;
  }

  /** Opens it for a `version` of `size` bytes. `version` "" is never gone on with. */
  static async open(target: string, version: string, size: number): Promise<PartFile> {
    const stamp = createHash("sha256").update(version).digest("hex").slice(0, VERSION_DIGITS);
    const name = `.${basename(target)}.${stamp}.part`;
    await removeOthers(target, name);
    const path = join(dirname(target), name);
    const file = await open(path, constants.O_RDWR | constants.O_CREAT).catch((cause: Error) => {
      throw new GuestError("invalid", `cannot write ${path}: ${cause.message}`, { cause });
    });
    try {
      if (version === "" || (await file.stat()).size > size) await file.truncate();
      return new PartFile({ path, target }, file, await readAll(file));
    } catch (reason) {
      await file.close();
      throw reason;
    }
  }

  /** How much has arrived. */
  get bytes(): number {
    return this.#bytes;
  }

  /** Adds what comes next. */
  async append(bytes: Uint8Array): Promise<void> {
    for (let at = 0; at < bytes.length; ) {
      const rest = bytes.subarray(at);
      const { bytesWritten } = await this.#file.write(rest, 0, rest.length, this.#bytes);
      this.#hash.update(rest.subarray(0, bytesWritten));
      this.#bytes += bytesWritten;
      at += bytesWritten;
    }
  }

  /** The SHA-256 of all that has arrived. */
  digest(): Buffer {
    return this.#hash.copy().digest();
  }

  /** Writes it down and puts it in its place. */
  async finish(mode: number): Promise<void> {
    await this.#file.chmod(mode & ~process.umask());
    await this.#file.sync();
    await rename(this.#path, this.#target);
  }

  /** Removes it. */
  async remove(): Promise<void> {
    await rm(this.#path, { force: true });
  }

  /** Closes it. What has arrived stays for the next run. */
  async [Symbol.asyncDispose](): Promise<void> {
    await this.#file.close();
  }
}

interface Read {
  hash: Hash;
  bytes: number;
}

async function readAll(file: FileHandle): Promise<Read> {
  const hash = createHash("sha256");
  const buffer = Buffer.allocUnsafe(CHUNK_BYTES);
  let bytes = 0;
  for (;;) {
    const { bytesRead } = await file.read(buffer, 0, buffer.length, bytes);
    if (bytesRead === 0) return { hash, bytes };
    hash.update(buffer.subarray(0, bytesRead));
    bytes += bytesRead;
  }
}

async function removeOthers(target: string, name: string): Promise<void> {
  const directory = dirname(target);
  const start = `.${basename(target)}.`;
  const names = await readdir(directory).catch(() => []);
  for (const other of names) {
    const middle = other.slice(start.length, -".part".length);
    const isPart = other === `${start}${middle}.part` && middle.length === VERSION_DIGITS;
    if (isPart && other !== name) await rm(join(directory, other), { force: true });
  }
}
