import { lstat, unlink } from "node:fs/promises";
import { AgentError, OffsetError } from "../errors.ts";
import { codeOf, messageOf } from "../lib/error-text.ts";
import { Lock } from "../lib/lock.ts";
import type { User } from "../system/users.ts";
import { type FileTarget, findTarget } from "./file-target.ts";
import { HeldDirectory } from "./held-directory.ts";
import type { InodeLocks } from "./inode-locks.ts";
import { makeParents } from "./parents.ts";
import { type FileAttributes, placeFile } from "./place-file.ts";
import { fromRawPath, type RawPath } from "./raw-path.ts";
import { isOutOfSpace } from "./space.ts";
import { StagedFile } from "./staged-file.ts";
import { stagedName } from "./staged-name.ts";
import { StagedSum } from "./staged-sum.ts";

/** Where an upload arrives whose own directory takes no new files. */
const OTHER_DIRECTORY = "/var/tmp";
/** What a directory answers that takes no new files, although a file in it may be written to. */
const TAKES_NO_FILES: readonly unknown[] = ["EROFS", "EACCES", "EPERM", "ENOTSUP", "ENOSYS"];

/** What is to be written, and how. */
export interface UploadPlan {
  /** Absolute; links are followed. */
  path: string;
  /** How large it will be, if that is known. */
  bytes: number | undefined;
  attributes: FileAttributes;
  /** Owns the file if it is new, and the parents that are made. */
  user: User;
}

/**
 * A file that arrives in pieces, by offset, over however many calls. It is beside its target and
 * no part of it before `place`.
 */
export class ResumableUpload {
  readonly id: string;
  readonly path: string;
  /** Whoever calls anything below holds it. */
  readonly lock = new Lock();
  /** Set once the upload is no more. */
  isGone = false;
  #plan: UploadPlan;
  #directory: RawPath | undefined;
  #file: StagedFile | undefined;
  readonly #sum = new StagedSum();

  constructor(id: string, plan: UploadPlan) {
    this.id = id;
    this.path = plan.path;
    this.#plan = plan;
  }

  /** The directory that it arrives in, once it has been opened. */
  get directory(): RawPath | undefined {
    return this.#directory;
  }

  /**
   * Opens it, for the first time or again, and says how many bytes have arrived. A disk that is too
   * small for what is announced is `exhausted`.
   */
  async open(plan: UploadPlan): Promise<number> {
    this.#plan = plan;
    const file = await this.#opened();
    try {
      await file.reserve(plan.bytes ?? 0);
    } catch (cause) {
      throw uploadError(cause, plan);
    }
    return file.bytes;
  }

  /** Adds what of `bytes` is new, and says how many have arrived. Throws `OffsetError` for a hole. */
  async write(offset: number, bytes: Uint8Array): Promise<number> {
    try {
      const file = await this.#opened();
      const fresh = freshPart(this.id, file.bytes, { offset, bytes });
      if (fresh.length > 0) await file.append(fresh);
      return file.bytes;
    } catch (cause) {
      throw uploadError(cause, this.#plan);
    }
  }

  /** How many bytes have arrived. */
  async arrived(): Promise<number> {
    return (await this.#opened()).bytes;
  }

  /** The SHA-256 of all that has arrived; no more is expected then. */
  async sha256(): Promise<Buffer> {
    try {
      return await (await this.#opened()).finish();
    } catch (cause) {
      throw uploadError(cause, this.#plan);
    }
  }

  /** Puts it in its place; `false` when that took more than one step. */
  async place(locks: InodeLocks, signal: AbortSignal): Promise<boolean> {
    const { attributes, user } = this.#plan;
    try {
      const file = await this.#opened();
      const target = await this.#target();
      await using directory = await HeldDirectory.open(target.directory);
      return await placeFile({
        fd: file.fd,
        bytes: file.bytes,
        from: file,
        to: { directory, name: target.name },
        attributes,
        user,
        locks,
        signal,
      });
    } catch (cause) {
      throw uploadError(cause, this.#plan);
    }
  }

  /** Closes what is open; the next call opens it again. */
  async close(): Promise<void> {
    const file = this.#file;
    this.#file = undefined;
    await file?.[Symbol.asyncDispose]();
  }

  /** Removes what has arrived, if it is where it was. */
  async discard(): Promise<void> {
    await this.close();
    if (this.#directory === undefined) return;
    await using directory = await HeldDirectory.open(this.#directory).catch(() => undefined);
    const path = directory?.pathOf(stagedName(this.id));
    if (path === undefined) return;
    const stats = await lstat(path).catch(() => undefined);
    if (stats !== undefined && this.#sum.accepts(stats)) await unlink(path).catch(() => {});
  }

  async #opened(): Promise<StagedFile> {
    return (this.#file ??= await this.#openFile());
  }

  async #openFile(): Promise<StagedFile> {
    try {
      if (this.#directory !== undefined) return await this.#openIn(this.#directory);
      const { directory } = await this.#target();
      return await this.#openIn(directory).catch((cause: unknown) => {
        if (TAKES_NO_FILES.includes(codeOf(cause))) return this.#openIn(OTHER_DIRECTORY);
        throw cause;
      });
    } catch (cause) {
      throw uploadError(cause, this.#plan);
    }
  }

  async #openIn(path: RawPath): Promise<StagedFile> {
    const directory = await HeldDirectory.open(path);
    try {
      const file = await StagedFile.open(directory, stagedName(this.id), this.#sum);
      this.#directory = path;
      return file;
    } catch (cause) {
      await directory[Symbol.asyncDispose]();
      throw cause;
    }
  }

  async #target(): Promise<FileTarget> {
    const target = await findTarget(this.path);
    await makeParents(fromRawPath(target.directory), this.#plan.user);
    return target;
  }
}

/**
 * The part of `given` that comes after the first `have` bytes. Throws `OffsetError` when bytes
 * between are missing.
 */
function freshPart(
  id: string,
  have: number,
  given: { offset: number; bytes: Uint8Array },
): Uint8Array {
  if (given.offset > have) {
    const message = `upload ${id} has ${have} bytes: those up to ${given.offset} are missing`;
    throw new OffsetError(message, have);
  }
  return given.bytes.subarray(have - given.offset);
}

function uploadError(cause: unknown, { path, bytes }: UploadPlan): AgentError {
  const reason = cause instanceof AgentError ? (cause.cause ?? cause) : cause;
  if (isOutOfSpace(reason)) {
    const wanted = bytes === undefined ? "" : ` for ${bytes} bytes`;
    return new AgentError("exhausted", `not enough disk space${wanted}: ${path}`, { cause });
  }
  if (cause instanceof AgentError) return cause;
  const code = codeOf(cause);
  if (code === undefined) throw cause;
  const isMisplaced = code === "ENOTDIR" || code === "ELOOP" || code === "ENAMETOOLONG";
  return new AgentError(
    isMisplaced ? "invalid" : "internal",
    `cannot write ${path}: ${messageOf(cause)}`,
    { cause },
  );
}
