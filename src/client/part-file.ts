import { createHash, type Hash } from "node:crypto";
import { constants } from "node:fs";
import { type FileHandle, open, readdir, rename, rm, stat } from "node:fs/promises";
import { basename, dirname, join } from "node:path";
import { besidePath } from "./beside.ts";
import { GuestError } from "./errors.ts";
import { randomId } from "./random-id.ts";

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

  /** Opens it for a `version` of `size` bytes. One without a version is never gone on with. */
  static async open(target: string, version: string, size: number): Promise<PartFile> {
    const name = version || randomId();
    const stamp = createHash("sha256").update(name).digest("hex").slice(0, VERSION_DIGITS);
    const path = besidePath(target, `${stamp}.part`);
    await removeOthers(target, path);
    const file = await open(path, constants.O_RDWR | constants.O_CREAT).catch((cause: Error) => {
      throw new GuestError("invalid", `cannot write ${path}: ${cause.message}`, { cause });
    });
    try {
      if ((await file.stat()).size > size) await file.truncate();
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
  async finish(mode: number, modifiedAt: Date | undefined): Promise<void> {
    await this.#file.chmod(mode & ~process.umask());
    if (modifiedAt !== undefined) await this.#file.utimes(modifiedAt, modifiedAt);
    await this.#file.sync();
    try {
      await rename(this.#path, this.#target);
    } catch (cause) {
      // Another download of the same has put it there.
      if (await this.#isInPlace()) return;
      throw new GuestError("failed", (cause as Error).message, { cause });
    }
  }

  async #isInPlace(): Promise<boolean> {
    const [ours, there] = await Promise.all([
      this.#file.stat(),
      stat(this.#target).catch(() => undefined),
    ]);
    return ours.ino === there?.ino && ours.dev === there.dev;
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

async function removeOthers(target: string, part: string): Promise<void> {
  const directory = dirname(target);
  const length = basename(part).length;
  const [start, end] = [basename(besidePath(target, "")), ".part"];
  const names = await readdir(directory).catch(() => []);
  for (const other of names) {
    const isPart = other.startsWith(start) && other.endsWith(end) && other.length === length;
    if (isPart && other !== basename(part)) await rm(join(directory, other), { force: true });
  }
}
