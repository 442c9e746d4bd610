import { lstat, readlink, unlink } from "node:fs";
import { promisify } from "node:util";
import { BatchWriter } from "./batch-writer.ts";
import { writeMetadata } from "./metadata.ts";
import { changeOwner, type Upload, type UploadRequest, writeError } from "./upload.ts";
import { closeFd, type UploadTarget } from "./upload-target.ts";

const lstatPath = promisify(lstat);
const readLink = promisify(readlink);
const unlinkPath = promisify(unlink);

/** Gives a file that was just made to its owner; takes it away again when that fails. */
export async function openNewFile(
  target: NewTarget,
  { user, announcedBytes }: Pick<UploadRequest, "user" | "announcedBytes">,
): Promise<NewFile> {
  const upload = new NewFile(target, announcedBytes);
  try {
    await changeOwner(target.fd, user);
    return upload;
  } catch (cause) {
    await upload[Symbol.asyncDispose]();
    throw cause;
  }
}

type NewTarget = Extract<UploadTarget, { kind: "new" }>;

/**
 * An upload to a path where nothing was. Written in place, so that those who watch see the file
 * being made, given to its owner and written, and nothing else.
 */
export class NewFile implements Upload {
  readonly #target: NewTarget;
  readonly #announcedBytes: number | undefined;
  readonly #body: BatchWriter;
  #isOpen = true;
  #isCommitted = false;

  constructor(target: NewTarget, announcedBytes: number | undefined) {
    this.#target = target;
    this.#announcedBytes = announcedBytes;
    this.#body = new BatchWriter(async () => target.fd);
  }

  push(chunk: Uint8Array): Promise<void> | undefined {
    return this.#body.push(chunk)?.catch((cause: unknown) => {
      throw writeError(cause, this.#announcedBytes);
    });
  }

  async commit(metadata: Readonly<Record<string, string>>): Promise<boolean> {
    await this.#body.finish().catch((cause: unknown) => {
      throw writeError(cause, this.#announcedBytes);
    });
    const isKept = Object.keys(metadata).length === 0 || writeMetadata(this.#target.fd, metadata);
    this.#isCommitted = true;
    await this[Symbol.asyncDispose]();
    return isKept;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    if (!this.#isOpen) return;
    this.#isOpen = false;
    // A descriptor must not be closed, and so given to others, under a running write.
    await this.#body.settle().catch(() => {});
    if (!this.#isCommitted) await removeOwn(this.#target);
    // While the descriptor is open: afterwards the inode's number may be another file's.
    this.#target.release();
    await closeFd(this.#target.fd);
  }
}

/**
 * Removes the file, wherever it has been moved to meanwhile, but nothing else that has taken its
 * name.
 */
async function removeOwn({ path, fd, stats }: NewTarget): Promise<void> {
  const now = await readLink(`/proc/self/fd/${fd}`).catch(() => path);
  for (const at of new Set([path, now])) {
    const found = await lstatPath(at).catch(() => undefined);
    if (found?.dev === stats.dev && found.ino === stats.ino) await unlinkPath(at).catch(() => {});
  }
}
