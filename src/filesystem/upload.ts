import { fchown } from "node:fs";
import { promisify } from "node:util";
import { AgentError } from "../errors.ts";
import type { User } from "../system/users.ts";
import type { InodeLocks } from "./inode-locks.ts";
import { isOutOfSpace } from "./space.ts";

const chownFd = promisify(fchown);

/** What is uploaded where, and for whom. */
export interface UploadRequest {
  /** Absolute; links are followed. */
  path: string;
  /** Who owns the file and the parents that are made for it. */
  user: User;
  /** The size the client announced, if it did; only told when the disk is full. */
  announcedBytes: number | undefined;
  /** One upload at a time writes to a file. */
  locks: InodeLocks;
  /** Gives up waiting for another upload to the same file. */
  signal: AbortSignal;
}

/**
 * One body on its way into a file. Nothing that was there is lost before the body is complete:
 * disposing an upload that was not committed leaves an old file as it was, and no new one.
 */
export interface Upload extends AsyncDisposable {
  /** Takes bytes for good. A promise asks to wait before the next ones. */
  push(chunk: Uint8Array): Promise<void> | undefined;
  /**
   * Makes the file hold exactly the bytes pushed, with exactly this metadata. Resolves to `false`
   * where the filesystem cannot keep metadata.
   */
  commit(metadata: Readonly<Record<string, string>>): Promise<boolean>;
}

/** Gives the open file to `user`. */
export async function changeOwner(fd: number, user: User): Promise<void> {
  await chownFd(fd, user.uid, user.gid).catch((cause: NodeJS.ErrnoException) => {
    const message = `error changing file ownership: ${cause.message}`;
    throw new AgentError("internal", message, { cause });
  });
}

/** A failed write in the words of the contract. */
export function writeError(cause: unknown, announcedBytes: number | undefined): AgentError {
  if (cause instanceof AgentError) return cause;
  if (!isOutOfSpace(cause)) {
    const message = `error writing file: ${(cause as Error).message}`;
    return new AgentError("internal", message, { cause });
  }
  const attempt = (announcedBytes ?? 0) > 0 ? `attempted to write ${announcedBytes} bytes: ` : "";
  return new AgentError("exhausted", `${attempt}not enough disk space available`, { cause });
}
