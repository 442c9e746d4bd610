import { stat } from "node:fs/promises";
import { AgentError } from "../errors.ts";
import { codeOf, messageOf } from "../lib/error-text.ts";
import { type RawPath, systemPath, toRawPath } from "./raw-path.ts";
import { resolveLinks } from "./resolve-links.ts";

/**
 * The path without links of what a caller wants all of. Nothing there is `not-found`; `invalid` when
 * it is neither a directory nor, where `acceptsFile`, a file.
 */
export async function resolveRoot(
  path: string,
  acceptsFile: boolean,
): Promise<{ root: RawPath; isFile: boolean }> {
  try {
    const root = await resolveLinks(toRawPath(path));
    const stats = await stat(systemPath(root));
    if (stats.isDirectory()) return { root, isFile: false };
    if (acceptsFile && stats.isFile()) return { root, isFile: true };
  } catch (cause) {
    if (cause instanceof AgentError) throw cause;
    const code = codeOf(cause);
    if (code === "ENOENT" || code === "ENOTDIR") {
      throw new AgentError("not-found", `path not found: ${path}`, { cause });
    }
    throw new AgentError("internal", `cannot read ${path}: ${messageOf(cause)}`, { cause });
  }
  throw new AgentError("invalid", `path is not a directory: ${path}`);
}
