import { constants, fchmod, fchown, fstat, fsync, ftruncate, lstat, open, rename } from "node:fs";
import { unlink } from "node:fs/promises";
import { promisify } from "node:util";
import { AgentError } from "../errors.ts";
import { codeOf } from "../lib/error-text.ts";
import { setModifiedTime } from "../system/file-times.ts";
import type { User } from "../system/users.ts";
import { copyBytes } from "./copy.ts";
import { specialKind } from "./file-kind.ts";
import type { HeldDirectory } from "./held-directory.ts";
import type { InodeLocks } from "./inode-locks.ts";
import { fromRawPath, type RawPath } from "./raw-path.ts";
import { reserveSpace } from "./space.ts";
import { closeFd } from "./upload-target.ts";

const openFd = promisify(open);
const statFd = promisify(fstat);
const chmodFd = promisify(fchmod);
const chownFd = promisify(fchown);
const syncFd = promisify(fsync);
const truncateFd = promisify(ftruncate);
const lstatPath = promisify(lstat);
const renamePath = promisify(rename);

const DEFAULT_MODE = 0o644;
/** What a rename answers where it cannot be: mounted files, other file systems, some of FUSE. */
const CANNOT_RENAME = /^(EXDEV|EBUSY|EROFS|EPERM|EACCES|ENOSYS|ENOTSUP|EOPNOTSUPP|EINVAL)$/;

/** What a file is to be like; absent is as the file that is replaced, or as a new one of `user`. */
export interface FileAttributes {
  mode?: number | undefined;
  uid?: number | undefined;
  gid?: number | undefined;
  /** When its content last changed, in ns since 1970. */
  modifiedNs?: bigint | undefined;
}

/** A complete file, and what it shall become. */
export interface Placement {
  /** The file, open for reading and writing. */
  fd: number;
  bytes: number;
  /** Where it is. */
  from: { directory: HeldDirectory; name: RawPath };
  /** What it becomes: a file, or nothing yet, but no link. */
  to: { directory: HeldDirectory; name: RawPath };
  attributes: FileAttributes;
  /** Owns a new file. */
  user: User;
  /** One at a time overwrites a file that cannot be replaced. */
  locks: InodeLocks;
  /** Whether it must last before it is told; default true. */
  isDurable?: boolean;
  /** Gives up waiting for its turn to overwrite. */
  signal: AbortSignal;
}

interface Settled {
  mode: number;
  uid: number;
  gid: number;
  modifiedNs: bigint | undefined;
}

/**
 * Puts a complete file in its place, in one step: whoever looks finds the old file or the new one.
 * `false` where that cannot be: then the old one was overwritten with it. When it fails before
 * that, it is where it was.
 */
export async function placeFile(placement: Placement): Promise<boolean> {
  const { fd, from, to } = placement;
  const isDurable = placement.isDurable ?? true;
  const attributes = await settle(placement);
  await apply(fd, attributes);
  if (isDurable) await syncFd(fd);
  try {
    await renamePath(from.directory.pathOf(from.name), to.directory.pathOf(to.name));
  } catch (cause) {
    const code = codeOf(cause);
    if (code === "EISDIR" || code === "ENOTEMPTY") {
      throw new AgentError("invalid", `path is a directory: ${fromRawPath(to.name)}`, { cause });
    }
    if (!CANNOT_RENAME.test(code ?? "")) throw cause;
    await overwrite(placement, attributes);
    await unlink(from.directory.pathOf(from.name)).catch(() => {});
    return false;
  }
  if (isDurable) await to.directory.sync();
  return true;
}

async function settle({ to, attributes, user }: Placement): Promise<Settled> {
  const { mode, uid, gid, modifiedNs } = attributes;
  if (mode !== undefined && uid !== undefined && gid !== undefined) {
    return { mode, uid, gid, modifiedNs };
  }
  const old = await lstatPath(to.directory.pathOf(to.name)).catch(() => undefined);
  return {
    mode: mode ?? (old === undefined ? DEFAULT_MODE : old.mode & 0o7777),
    uid: uid ?? old?.uid ?? user.uid,
    gid: gid ?? old?.gid ?? user.gid,
    modifiedNs,
  };
}

/** The owner first: the kernel takes set-id bits from a file that is given away. */
async function apply(fd: number, { mode, uid, gid, modifiedNs }: Settled): Promise<void> {
  await chownFd(fd, uid, gid);
  await chmodFd(fd, mode);
  if (modifiedNs !== undefined) setModifiedTime(fd, modifiedNs);
}

/** The space is reserved first, so that a full disk leaves the old file whole. */
async function overwrite(
  { fd, bytes, to, locks, signal }: Placement,
  attributes: Settled,
): Promise<void> {
  const flags = constants.O_WRONLY | constants.O_CREAT | constants.O_NOFOLLOW;
  const path = to.directory.pathOf(to.name);
  const isNew = (await lstatPath(path).catch(() => undefined)) === undefined;
  const target = await openFd(path, flags | constants.O_NONBLOCK | constants.O_NOCTTY, 0o600);
  let release: (() => void) | undefined;
  try {
    const stats = await statFd(target);
    const kind = specialKind(stats);
    if (kind !== undefined) {
      throw new AgentError("invalid", `path is a ${kind}: ${fromRawPath(to.name)}`);
    }
    release = await locks.hold(stats, signal);
    const { size } = await statFd(target);
    await reserveSpace(target, bytes, size);
    await copyBytes({ from: fd, to: target, bytes, at: 0 });
    await truncateFd(target, bytes);
    await apply(target, attributes);
    await syncFd(target);
  } catch (cause) {
    // Where nothing was there shall be nothing.
    if (isNew) await unlink(path).catch(() => {});
    throw cause;
  } finally {
    release?.();
    await closeFd(target);
  }
}
