import { rename } from "node:fs/promises";
import { AgentError } from "../errors.ts";
import { codeOf, messageOf } from "../lib/error-text.ts";
import type { User } from "../system/users.ts";
import { makeParents } from "./parents.ts";

/** What to move where; both paths are absolute. */
export interface MoveRequest {
  source: string;
  destination: string;
  /** Owns the parents that are made for the destination. */
  user: User;
}

/**
 * Renames `source`, after the missing parents of `destination` have been made. A file or an empty
 * directory at the destination is replaced in one step. Who owns it does not change. The parents
 * stay when the rename fails.
 */
export async function move({ source, destination, user }: MoveRequest): Promise<void> {
  await makeParents(parentOf(destination), user);
  try {
    await rename(source, destination);
  } catch (cause) {
    if (codeOf(cause) === "ENOENT") {
      throw new AgentError("not-found", `source file not found: ${messageOf(cause)}`, { cause });
    }
    throw new AgentError("internal", `error renaming: ${messageOf(cause)}`, { cause });
  }
}

/** Not cleaned: what `..` means is for the kernel to say, as it is in the rename. */
function parentOf(path: string): string {
  return path.slice(0, path.lastIndexOf("/")) || "/";
}
