import { stat } from "node:fs/promises";
import { AgentError } from "../errors.ts";
import { codeOf, messageOf } from "../lib/error-text.ts";
import type { User } from "../system/users.ts";
import { makeParents } from "./parents.ts";

/**
 * Makes a directory, with the parents it lacks, for `user`. One that is already there is
 * `exists`; something else in its place is `invalid`.
 */
export async function makeDirectory(path: string, user: User): Promise<void> {
  const found = await stat(path).catch((cause: unknown) => {
    if (codeOf(cause) === "ENOENT") return undefined;
    throw new AgentError("internal", `error getting file info: ${messageOf(cause)}`, { cause });
  });
  if (found?.isDirectory() === true) {
    throw new AgentError("exists", `directory already exists: ${path}`);
  }
  if (found !== undefined) {
    throw new AgentError("invalid", `path already exists but it is not a directory: ${path}`);
  }
  await makeParents(path, user);
}
