import { constants } from "node:fs";
import { mkdir, open, stat } from "node:fs/promises";
import { AgentError } from "../errors.ts";
import type { User } from "../system/users.ts";

/**
 * Makes sure that `directory` (absolute) exists, with every parent it lacks. What is made belongs
 * to `user`; what exists stays as it is. Something else in the way is `path is a file: …`; other
 * failures carry the system's error as `cause`. On failure the parents made so far remain.
 */
export async function makeParents(directory: string, user: User): Promise<void> {
  if (await isDirectory(directory).catch(() => false)) return;
  for (const path of prefixes(directory)) {
    try {
      if (!(await isDirectory(path))) await makeDirectory(path, user);
    } catch (cause) {
      if (cause instanceof AgentError) throw cause;
      throw new AgentError("internal", `error creating directory '${path}': ${messageOf(cause)}`, {
        cause,
      });
    }
  }
}

/** `/a`, `/a/b`, … up to `directory` itself, not cleaned: `..` means what the kernel says. */
function prefixes(directory: string): string[] {
  const names = directory.split("/").filter((name) => name !== "" && name !== ".");
  return names.map((_, index) => `/${names.slice(0, index + 1).join("/")}`);
}

/** `false` when nothing is there. */
async function isDirectory(path: string): Promise<boolean> {
  const found = await stat(path).catch((cause: unknown) => {
    if ((cause as NodeJS.ErrnoException).code === "ENOENT") return undefined;
    throw cause;
  });
  if (found !== undefined && !found.isDirectory()) {
    throw new AgentError("internal", `path is a file: ${path}`);
  }
  return found !== undefined;
}

async function makeDirectory(path: string, user: User): Promise<void> {
  await mkdir(path, 0o755).catch((cause: unknown) => {
    if ((cause as NodeJS.ErrnoException).code !== "EEXIST") throw cause;
  });
  // Through a descriptor: a link put in the directory's place must not be followed by the chown.
  await using made = await open(path, constants.O_DIRECTORY | constants.O_NOFOLLOW);
  await made.chown(user.uid, user.gid);
}

function messageOf(cause: unknown): string {
  return cause instanceof Error ? cause.message : String(cause);
}
