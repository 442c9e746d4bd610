import { close, constants, fstat, fstatSync, open, readlink, type Stats, stat } from "node:fs";
import { promisify } from "node:util";
import { AgentError } from "../errors.ts";
import { specialKind } from "./file-kind.ts";
import type { InodeLocks, Release } from "./inode-locks.ts";
import { isOutOfSpace } from "./space.ts";

/** As many links as the kernel itself follows. */
const MOST_LINKS = 40;

const openFd = promisify(open);
const statFd = promisify(fstat);
const statPath = promisify(stat);
const readLink = promisify(readlink);

/** Closes a descriptor. What the system says to that changes nothing. */
export function closeFd(fd: number): Promise<void> {
  return new Promise((resolve) => {
    close(fd, () => resolve());
  });
}

/** The file an upload goes to, open for writing. */
export type UploadTarget =
  /** Made just now, and held so that no other upload writes to it. */
  | { kind: "new"; path: string; fd: number; stats: Stats; release: Release }
  /** There already. */
  | { kind: "existing"; path: string; fd: number; stats: Stats };

/**
 * Opens the file at `path`, or makes it (0666 less the umask); links are followed, also those
 * that lead nowhere yet. Anything but a regular file is `invalid` and said to be what it is.
 */
export async function openTarget(path: string, locks: InodeLocks): Promise<UploadTarget> {
  let at = path;
  for (let links = 0; links <= MOST_LINKS; links += 1) {
    const target = (await create(at, locks)) ?? (await openExisting(at, path));
    if (target !== undefined) return target;
    at = (await linkTarget(at)) ?? at;
  }
  throw new AgentError("internal", `error opening file: '${path}' keeps changing`);
}

/** Whether `path` still leads to the file described by `stats`. */
export async function leadsTo(path: string, stats: Stats): Promise<boolean> {
  const now = await statPath(path).catch(() => undefined);
  return now?.dev === stats.dev && now.ino === stats.ino;
}

/** `undefined` when something is there already. */
async function create(path: string, locks: InodeLocks): Promise<UploadTarget | undefined> {
  const flags = constants.O_WRONLY | constants.O_CREAT | constants.O_EXCL;
  const fd = await openFd(path, flags, 0o666).catch((cause: NodeJS.ErrnoException) => {
    if (cause.code === "EEXIST" || cause.code === "EISDIR") return undefined;
    throw openError(cause);
  });
  if (fd === undefined) return undefined;
  // At once, so that nobody else in this process can come between making and holding it.
  const stats = fstatSync(fd);
  const release = locks.tryHold(stats);
  // Another upload opened it first: the file is theirs to make, and ours to replace.
  if (release === undefined) return { kind: "existing", path, fd, stats };
  return { kind: "new", path, fd, stats, release };
}

/** `undefined` when nothing is there. */
async function openExisting(path: string, asked: string): Promise<UploadTarget | undefined> {
  const found = await statPath(path).catch(nothing);
  if (found === undefined) return undefined;
  refuseSpecial(asked, found);
  const flags = constants.O_WRONLY | constants.O_NONBLOCK | constants.O_NOCTTY;
  const fd = await openFd(path, flags).catch(nothing);
  if (fd === undefined) return undefined;
  try {
    const stats = await statFd(fd);
    refuseSpecial(asked, stats);
    return { kind: "existing", path, fd, stats };
  } catch (cause) {
    await closeFd(fd);
    throw cause;
  }
}

/** Turns the failure to find something into nothing found. */
function nothing(cause: NodeJS.ErrnoException): undefined {
  if (cause.code !== "ENOENT") throw openError(cause);
}

/** Where the link at `path` leads, or `undefined` if it is none. */
async function linkTarget(path: string): Promise<string | undefined> {
  const link = await readLink(path).catch(() => undefined);
  if (link === undefined || link.startsWith("/")) return link;
  return `${path.slice(0, path.lastIndexOf("/"))}/${link}`;
}

function refuseSpecial(path: string, stats: Stats): void {
  const kind = specialKind(stats);
  if (kind !== undefined) throw new AgentError("invalid", `path is a ${kind}: ${path}`);
}

function openError(cause: NodeJS.ErrnoException): AgentError {
  if (cause.code === "ERR_INVALID_ARG_VALUE") {
    return new AgentError("invalid", `error opening file: ${cause.message}`, { cause });
  }
  return isOutOfSpace(cause)
    ? new AgentError("exhausted", `not enough inodes available: ${cause.message}`, { cause })
    : new AgentError("internal", `error opening file: ${cause.message}`, { cause });
}
