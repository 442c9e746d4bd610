import { posix } from "node:path";
import { AgentError } from "../errors.ts";
import type { User } from "../system/users.ts";

/** What the kernel takes of a path, without the NUL byte at its end. */
const MOST_BYTES = 4_095;

/**
 * The absolute path that a caller means by `path`. Empty is `workdir`, or the user's home when
 * there is none; `~` is the home; other relative paths begin at the home. An absolute path is
 * taken verbatim, the others are cleaned. Nothing is confined. Throws `invalid`, also for more than
 * 4,095 bytes: no call of the system takes them, and what is done before could take for ever.
 */
export function resolvePath(path: string, user: User, workdir: string | undefined): string {
  const asked = path === "" ? (workdir ?? "") : path;
  const bytes = Buffer.byteLength(asked);
  if (bytes > MOST_BYTES) {
    throw new AgentError(
      "invalid",
      `path is too long: ${bytes} bytes, and the system takes ${MOST_BYTES}`,
    );
  }
  if (asked.includes("\0")) {
    throw new AgentError("invalid", `path contains a NUL byte: ${JSON.stringify(asked)}`);
  }
  if (asked.startsWith("/")) return asked;
  if (!asked.startsWith("~")) return joinPath(homeOf(user), asked);
  if (asked !== "~" && !asked.startsWith("~/")) {
    throw new AgentError(
      "invalid",
      `failed to expand path '${asked}' for user '${user.name}': cannot expand user-specific home dir`,
    );
  }
  return joinPath(homeOf(user), asked.slice(1));
}

/** Joins and cleans: no `.`, no `..`, no double and no trailing slashes. */
export function joinPath(directory: string, path: string): string {
  const joined = posix.join(directory, path);
  return joined.length > 1 && joined.endsWith("/") ? joined.slice(0, -1) : joined;
}

/** An account whose home is no absolute path lives in the root directory. */
function homeOf(user: User): string {
  return user.home.startsWith("/") ? user.home : "/";
}
