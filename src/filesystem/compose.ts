import { constants, fstat, open, rename, stat, unlink } from "node:fs";
import { basename } from "node:path";
import { promisify } from "node:util";
import { AgentError } from "../errors.ts";
import { randomText } from "../system/random.ts";
import type { User } from "../system/users.ts";
import { copyBytes } from "./copy.ts";
import { specialKind } from "./file-kind.ts";
import { makeParents } from "./parents.ts";
import { isOutOfSpace } from "./space.ts";
import { changeOwner } from "./upload.ts";
import { closeFd } from "./upload-target.ts";

const openFd = promisify(open);
const statFd = promisify(fstat);
const statPath = promisify(stat);
const renamePath = promisify(rename);
const unlinkPath = promisify(unlink);

/** Makes sure that a source of `compose` is a regular file; `asked` is its path as it was given. */
export async function checkSource(path: string, asked: string): Promise<void> {
  const stats = await statPath(path).catch((cause: unknown) => {
    throw new AgentError("not-found", `source file not found: ${asked}`, { cause });
  });
  if (specialKind(stats) !== undefined) {
    throw new AgentError("invalid", `source path is not a regular file: ${asked}`);
  }
}

/** Whether both paths name the same entry of the same directory, however they are written. */
export async function isSameEntry(one: string, other: string): Promise<boolean> {
  if (one === other) return true;
  if (basename(one) !== basename(other)) return false;
  const [left, right] = await Promise.all(
    [one, other].map((path) => statPath(parentOf(path)).catch(() => undefined)),
  );
  return left !== undefined && left.dev === right?.dev && left.ino === right.ino;
}

/**
 * Makes `destination` out of `sources`, one after the other, and removes those. It appears, or
 * replaces what was there, in one step once it is complete; aborting `signal` or any failure
 * before that changes nothing.
 */
export async function compose(
  sources: readonly string[],
  destination: string,
  user: User,
  signal: AbortSignal,
): Promise<void> {
  await makeParents(parentOf(destination), user);
  const temporary = `${destination}.e2b-compose.${randomText(22)}.tmp`;
  try {
    await assemble(sources, temporary, user, signal);
    await renamePath(temporary, destination);
  } catch (cause) {
    await unlinkPath(temporary).catch(() => {});
    throw composeError(cause);
  }
  for (const source of new Set(sources)) await unlinkPath(source).catch(() => {});
}

async function assemble(
  sources: readonly string[],
  temporary: string,
  user: User,
  signal: AbortSignal,
): Promise<void> {
  const flags = constants.O_WRONLY | constants.O_CREAT | constants.O_EXCL;
  const to = await openFd(temporary, flags, 0o666);
  try {
    await changeOwner(to, user);
    let position = 0;
    for (const source of sources) position += await append(source, to, position, signal);
  } finally {
    await closeFd(to);
  }
}

/** Copies the file at `source` behind `position` and says how long it is. */
async function append(
  source: string,
  to: number,
  position: number,
  signal: AbortSignal,
): Promise<number> {
  const flags = constants.O_RDONLY | constants.O_NONBLOCK | constants.O_NOCTTY;
  const from = await openFd(source, flags);
  try {
    const { size } = await statFd(from);
    await copyBytes({ from, to, bytes: size, at: position, signal });
    return size;
  } finally {
    await closeFd(from);
  }
}

function parentOf(path: string): string {
  return path.slice(0, path.lastIndexOf("/")) || "/";
}

function composeError(cause: unknown): unknown {
  if (cause instanceof AgentError) return cause;
  if (isOutOfSpace(cause)) {
    return new AgentError("exhausted", "not enough disk space available", { cause });
  }
  return new AgentError("internal", `error composing file: ${(cause as Error).message}`, { cause });
}
