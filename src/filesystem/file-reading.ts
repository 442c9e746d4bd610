import { type BigIntStats, constants, fstat, open } from "node:fs";
import { promisify } from "node:util";
import { AgentError, OffsetError } from "../errors.ts";
import { messageOf } from "../lib/error-text.ts";
import { Sha256 } from "../lib/sha256.ts";
import { sleep } from "../lib/sleep.ts";
import { readAt } from "./copy.ts";
import { lookAtFile, openFile } from "./read.ts";
import { closeFd } from "./upload-target.ts";

/** The kernel's times go on in steps of at most this. Two changes within one look like one. */
const CLOCK_STEP_MS = 20;

const openFd = promisify(open);
const statFd = promisify(fstat);

/** What to read. */
export interface ReadRequest {
  /** Absolute; links are followed. */
  path: string;
  /** The first byte. */
  offset: number;
  /** How many bytes; absent: all there are. What is more than that is no error. */
  length: number | undefined;
  /** How many bytes at a time. */
  chunkBytes: number;
  /** Where the checksum begins, at most `offset`; absent: at `offset`. */
  sumFrom?: number | undefined;
  /** Fails as `aborted` unless this is the file's version; absent: whatever it is. */
  version: string | undefined;
}

/** A part of a file on its way out: chunk by chunk, the next one being read meanwhile. */
export class FileReading implements AsyncDisposable {
  readonly version: string;
  readonly #path: string;
  readonly #fd: number;
  readonly #before: BigIntStats;
  readonly #end: number;
  readonly #sum = new Sha256();
  readonly #spares: Buffer[];
  readonly #start: number;
  #position: number;
  #pending: Promise<Buffer> | undefined;
  #closing: Promise<void> | undefined;

  private constructor(request: ReadRequest, fd: number, stats: BigIntStats) {
    const size = Number(stats.size);
    const { path, offset, length } = request;
    this.version = versionOf(stats);
    if (request.version !== undefined && request.version !== this.version) throw changed(path);
    if (offset > size) {
      throw new OffsetError(`offset ${offset} is beyond the end of ${path}: ${size}`, size);
    }
    this.#path = path;
    this.#fd = fd;
    this.#before = stats;
    this.#start = offset;
    this.#position = Math.min(offset, request.sumFrom ?? offset);
    this.#end = Math.min(size, offset + (length ?? size));
    const chunkBytes = Math.min(request.chunkBytes, this.#end - this.#position);
    this.#spares = [0, 1].map(() => Buffer.allocUnsafeSlow(chunkBytes));
  }

  /**
   * Opens the file. Nothing there is `not-found`, no regular file `invalid`, an offset beyond the
   * end an `OffsetError`. What the kernel makes up while it is read, as in `/proc`, is read at once.
   */
  static async open(request: ReadRequest, signal: AbortSignal): Promise<FileReading | Buffer> {
    const { path } = request;
    const found = await lookAtFile(path);
    if (found.size === 0) {
      await using file = await openFile(path, found);
      if (file.size > 0) return partOf(request, file.head.subarray(0, file.size));
    }
    const flags = constants.O_RDONLY | constants.O_NONBLOCK | constants.O_NOCTTY;
    const fd = await openFd(path, flags).catch((cause: unknown) => {
      throw new AgentError("internal", `cannot read ${path}: ${messageOf(cause)}`, { cause });
    });
    try {
      return new FileReading(request, fd, await settled(fd, signal));
    } catch (cause) {
      await closeFd(fd);
      throw cause;
    }
  }

  /** The next bytes, valid until the call after; `undefined` at the end. */
  async next(): Promise<Buffer | undefined> {
    for (;;) {
      this.#pending ??= this.#read();
      const chunk = await this.#pending;
      if (chunk.length === 0) return undefined;
      this.#position += chunk.length;
      this.#pending = this.#read();
      await this.#sum.update(chunk);
      // What comes before is read for the checksum alone.
      if (this.#position > this.#start) return chunk;
    }
  }

  /** What has been read. Fails as `aborted` when the file was written to meanwhile. */
  async end(): Promise<{ bytes: number; sha256: Buffer }> {
    const now = await statFd(this.#fd, { bigint: true });
    if (now.size !== this.#before.size || now.mtimeNs !== this.#before.mtimeNs) {
      throw changed(this.#path);
    }
    return { bytes: this.#position - this.#start, sha256: this.#sum.digest() };
  }

  /** Closes the file, as soon as nothing is being read. */
  [Symbol.asyncDispose](): Promise<void> {
    this.#closing ??= (async () => {
      // A descriptor must not be closed, and so given to others, under a running read.
      await this.#pending?.catch(() => {});
      await closeFd(this.#fd);
    })();
    return this.#closing;
  }

  #read(): Promise<Buffer> {
    const pending = this.#fill();
    // Awaited later, or not at all: until then a failure is nobody's.
    pending.catch(() => {});
    return pending;
  }

  async #fill(): Promise<Buffer> {
    if (this.#closing !== undefined) throw new Error("the file is closed");
    const spare = this.#spares.shift() ?? Buffer.alloc(0);
    this.#spares.push(spare);
    const stop = this.#position < this.#start ? this.#start : this.#end;
    const wanted = spare.subarray(0, stop - this.#position);
    for (let filled = 0; filled < wanted.length; ) {
      const count = await readAt(this.#fd, wanted.subarray(filled), this.#position + filled);
      if (count === 0) throw changed(this.#path);
      filled += count;
    }
    return wanted;
  }
}

/**
 * Describes the file once a later change of it will show. Who reads a file that was written to just
 * now waits for one step of the kernel's clock.
 */
async function settled(fd: number, signal: AbortSignal): Promise<BigIntStats> {
  const { mtimeMs } = await statFd(fd);
  const isFresh = Math.abs(Date.now() - mtimeMs) < CLOCK_STEP_MS;
  if (isFresh) await sleep(CLOCK_STEP_MS, signal);
  return await statFd(fd, { bigint: true });
}

/** What is the same as long as the file is: neither replaced nor written to. */
function versionOf({ dev, ino, size, mtimeNs, ctimeNs }: BigIntStats): string {
  return [dev, ino, size, mtimeNs, ctimeNs].map((part) => part.toString(36)).join("-");
}

function partOf({ path, offset, length }: ReadRequest, whole: Buffer): Buffer {
  const size = whole.length;
  if (offset <= size) return whole.subarray(offset, offset + (length ?? size));
  throw new OffsetError(`offset ${offset} is beyond the end of ${path}: ${size}`, size);
}

function changed(path: string): AgentError {
  return new AgentError("aborted", `${path} has changed: read it again from the beginning`);
}
