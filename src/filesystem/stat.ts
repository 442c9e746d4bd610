import { AgentError } from "../errors.ts";
import { codeOf, messageOf } from "../lib/error-text.ts";
import { type AccountNames, type Entry, readEntry } from "./entries.ts";

/** Describes one path. A missing one is `not-found`; a broken link is described. */
export async function statEntry(path: string, names: AccountNames): Promise<Entry> {
  try {
    return await readEntry(path, names);
  } catch (cause) {
    if (codeOf(cause) === "ENOENT") {
      throw new AgentError("not-found", `file not found: ${messageOf(cause)}`, { cause });
    }
    throw new AgentError("internal", `error getting file info: ${messageOf(cause)}`, { cause });
  }
}
