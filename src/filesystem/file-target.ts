import { lstat, readlink } from "node:fs/promises";
import { AgentError } from "../errors.ts";
import { codeOf } from "../lib/error-text.ts";
import { specialKind } from "./file-kind.ts";
import { fromRawPath, type RawPath, systemPath, toRawPath } from "./raw-path.ts";

/** As many links as the kernel itself follows. */
const MOST_LINKS = 40;

/** Where a file is or will be, with no link in its last part. */
export interface FileTarget {
  directory: RawPath;
  name: RawPath;
}

/**
 * Where a file written to `path` (absolute) goes: links are followed, also those that lead nowhere
 * yet. What is there and no regular file is `invalid`; other failures are those of the system.
 */
export async function findTarget(path: string): Promise<FileTarget> {
  let at = toRawPath(path);
  for (let links = 0; links <= MOST_LINKS; links += 1) {
    const cut = at.lastIndexOf("/");
    const target = { directory: at.slice(0, cut) || "/", name: at.slice(cut + 1) };
    const stats = await lstat(systemPath(at)).catch((cause: unknown) => {
      if (codeOf(cause) !== "ENOENT") throw cause;
    });
    if (target.name === "") throw new AgentError("invalid", `path names no file: ${path}`);
    if (stats === undefined) return target;
    if (!stats.isSymbolicLink()) {
      const kind = specialKind(stats);
      if (kind === undefined) return target;
      throw new AgentError("invalid", `path is a ${kind}: ${path}`);
    }
    const link = await readlink(systemPath(at), "latin1");
    at = link.startsWith("/") ? link : `${target.directory}/${link}`;
  }
  throw new AgentError(
    "wrong-state",
    `too many links at ${fromRawPath(at)}: ${path} leads nowhere`,
  );
}
