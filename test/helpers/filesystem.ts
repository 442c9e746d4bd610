import { mkdirSync, writeFileSync } from "node:fs";
import { type Code, ConnectError } from "@connectrpc/connect";
import { Users } from "../../src/system/users.ts";

/** Never aborts. */
export const noAbort: AbortSignal = new AbortController().signal;

/** The machine's own accounts. */
export const users = new Users();

/** A path whose bytes are given as characters, one each. */
export function bytesPath(path: string): Buffer {
  return Buffer.from(path, "latin1");
}

/** Makes files below `directory`, with the directories they need; a trailing slash makes one. */
export function makeTree(directory: string, ...paths: string[]): void {
  for (const path of paths) {
    const isDirectory = path.endsWith("/");
    const parents = isDirectory ? path : path.slice(0, path.lastIndexOf("/") + 1);
    mkdirSync(`${directory}/${parents}`, { recursive: true });
    if (!isDirectory) writeFileSync(`${directory}/${path}`, "");
  }
}

/** A directory with a branch of `depth` directories called `d`, longer than a path can be. */
export function makeDeepTree(directory: string, depth: number): void {
  const home = process.cwd();
  try {
    process.chdir(directory);
    for (let level = 0; level < depth; level += 1) {
      mkdirSync("d");
      process.chdir("d");
    }
  } finally {
    process.chdir(home);
  }
}

/** How a call fails on the wire. */
export async function failureOf(call: Promise<unknown>): Promise<{ code: Code; message: string }> {
  const reason = await call.then(
    () => undefined,
    (error: unknown) => error,
  );
  if (!(reason instanceof ConnectError))
    throw new Error("not a failure on the wire", { cause: reason });
  return { code: reason.code, message: reason.rawMessage };
}
