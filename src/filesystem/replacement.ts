import { fstat, ftruncate, type Stats } from "node:fs";
import { promisify } from "node:util";
import { AgentError } from "../errors.ts";
import { BatchWriter, writeAll } from "./batch-writer.ts";
import { copyBytes } from "./copy.ts";
import { readMetadata, writeMetadata } from "./metadata.ts";
import { openNewFile } from "./new-file.ts";
import { giveBack, reserveSpace } from "./space.ts";
import { openSpool } from "./spool.ts";
import { changeOwner, type Upload, type UploadRequest, writeError } from "./upload.ts";
import { closeFd, leadsTo, openTarget } from "./upload-target.ts";

/** How often the path may lead to another file just when the body is to be written. */
const MOST_ATTEMPTS = 40;

const statFd = promisify(fstat);
const truncateFd = promisify(ftruncate);

/**
 * An upload over a file that is there. The body is received completely first, in memory while it
 * is small; then the space is reserved; only then is the file overwritten. It is overwritten in
 * place, so that its mode, its other names and those who watch it stay.
 */
export class Replacement implements Upload {
  readonly #request: UploadRequest;
  readonly #body: BatchWriter;
  #spool: number | undefined;
  #isOpen = true;

  /** `found` is what is to be overwritten, as far as it is known by now. */
  constructor(request: UploadRequest, found: { path: string; stats: Stats }) {
    this.#request = request;
    this.#body = new BatchWriter(async () => {
      this.#spool = await openSpool(found.path, found.stats);
      return this.#spool;
    });
  }

  push(chunk: Uint8Array): Promise<void> | undefined {
    return this.#body.push(chunk)?.catch((cause: unknown) => {
      throw writeError(cause, this.#request.announcedBytes);
    });
  }

  async commit(metadata: Readonly<Record<string, string>>): Promise<boolean> {
    try {
      await this.#body.settle();
      if (this.#spool !== undefined) await this.#body.finish();
      return await this.#write(metadata, this.#body.takeRest());
    } catch (cause) {
      throw writeError(cause, this.#request.announcedBytes);
    } finally {
      await this[Symbol.asyncDispose]();
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    if (!this.#isOpen) return;
    this.#isOpen = false;
    // A descriptor must not be closed, and so given to others, under a running write.
    await this.#body.settle().catch(() => {});
    if (this.#spool !== undefined) await closeFd(this.#spool);
  }

  /** Writes to whatever the path leads to by now. */
  async #write(
    metadata: Readonly<Record<string, string>>,
    rest: readonly Uint8Array[],
  ): Promise<boolean> {
    const { path, locks, signal } = this.#request;
    for (let attempt = 0; attempt < MOST_ATTEMPTS; attempt += 1) {
      const target = await openTarget(path, locks);
      if (target.kind === "new") {
        await using file = await openNewFile(target, this.#request);
        await this.#copyTo(target.fd, rest);
        return await file.commit(metadata);
      }
      let release: (() => void) | undefined;
      try {
        release = await locks.hold(target.stats, signal);
        if (await leadsTo(path, target.stats)) {
          return await this.#overwrite(target.fd, metadata, rest);
        }
      } finally {
        release?.();
        await closeFd(target.fd);
      }
    }
    throw new AgentError("internal", `error opening file: '${path}' keeps changing`);
  }

  async #overwrite(
    fd: number,
    metadata: Readonly<Record<string, string>>,
    rest: readonly Uint8Array[],
  ): Promise<boolean> {
    const bytes = this.#body.totalBytes;
    const { size, blocks } = await statFd(fd);
    // A file without holes has the space already for what is no longer than itself.
    const isReserved = bytes <= size && blocks * 512 >= size;
    if (!isReserved) await reserveSpace(fd, bytes, size);
    let isKept: boolean;
    try {
      isKept = await this.#describe(fd, metadata);
    } catch (cause) {
      if (!isReserved) await giveBack(fd, size);
      throw cause;
    }
    await this.#copyTo(fd, rest);
    if (bytes < size) await truncateFd(fd, bytes);
    return isKept;
  }

  /** Owner and metadata: both or neither. */
  async #describe(fd: number, metadata: Readonly<Record<string, string>>): Promise<boolean> {
    const before = readMetadata(`/proc/self/fd/${fd}`);
    const isKept = writeMetadata(fd, metadata);
    try {
      await changeOwner(fd, this.#request.user);
    } catch (cause) {
      writeMetadata(fd, before);
      throw cause;
    }
    return isKept;
  }

  async #copyTo(fd: number, rest: readonly Uint8Array[]): Promise<void> {
    if (this.#spool === undefined) await writeAll(fd, rest, 0);
    else await copyBytes({ from: this.#spool, to: fd, bytes: this.#body.totalBytes, at: 0 });
  }
}
