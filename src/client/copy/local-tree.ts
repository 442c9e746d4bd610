import { isUtf8 } from "node:buffer";
import { createHash } from "node:crypto";
import { createReadStream, type Stats } from "node:fs";
import { lstat, readdir, readlink } from "node:fs/promises";
import { join } from "node:path";
import type { TreePath } from "../trees.ts";

const MODE_BITS = 0o7777;

/** How a local directory is listed. */
export interface LocalTreeOptions {
  withSha256: boolean;
  /** Told what could not be looked at and is not in the list, with the reason. */
  onSkipped: (reason: string) => void;
  signal: AbortSignal | undefined;
}

/** All that is below a local directory, parents before children; nothing when it is not there. */
export async function listLocalTree(
  directory: string,
  options: LocalTreeOptions,
): Promise<TreePath[]> {
  const found: TreePath[] = [];
  const pending = [""];
  for (let parent = pending.shift(); parent !== undefined; parent = pending.shift()) {
    for (const name of await namesIn(directory, parent, options)) {
      options.signal?.throwIfAborted();
      const path = parent === "" ? name : `${parent}/${name}`;
      const entry = await unlessGone(path, options, () => describe(directory, path, options));
      if (entry === undefined) continue;
      found.push(entry);
      if (entry.kind === "directory") pending.push(path);
    }
  }
  return found;
}

async function namesIn(
  directory: string,
  parent: string,
  options: LocalTreeOptions,
): Promise<string[]> {
  const read = () => readdir(join(directory, parent), { encoding: "buffer" });
  const names = (await unlessGone(parent, options, read)) ?? [];
  return names.flatMap((name) => {
    if (isUtf8(name)) return [name.toString()];
    options.onSkipped(`${join(parent, name.toString())}: its name is no text`);
    return [];
  });
}

/** What goes away meanwhile is none to look at. */
async function unlessGone<T>(
  path: string,
  { onSkipped }: LocalTreeOptions,
  look: () => Promise<T>,
): Promise<T | undefined> {
  try {
    return await look();
  } catch (reason) {
    const { code, syscall } = reason as { code?: string; syscall?: string };
    if (code === undefined || (path === "" && code !== "ENOENT")) throw reason;
    if (code !== "ENOENT") onSkipped(`${path}: ${syscall}: ${code}`);
    return undefined;
  }
}

async function describe(
  directory: string,
  path: string,
  { withSha256 }: LocalTreeOptions,
): Promise<TreePath> {
  const whole = join(directory, path);
  const stats = await lstat(whole);
  const kind = kindOf(stats);
  return {
    path,
    kind,
    size: kind === "file" ? stats.size : 0,
    mode: stats.mode & MODE_BITS,
    modifiedAt: stats.mtime,
    linkTarget: kind === "symlink" ? await readlink(whole) : "",
    uid: stats.uid,
    gid: stats.gid,
    sha256: withSha256 && kind === "file" ? await sha256Of(whole) : undefined,
  };
}

function kindOf(stats: Stats): TreePath["kind"] {
  if (stats.isFile()) return "file";
  if (stats.isDirectory()) return "directory";
  return stats.isSymbolicLink() ? "symlink" : "other";
}

async function sha256Of(path: string): Promise<Uint8Array> {
  const hash = createHash("sha256");
  for await (const bytes of createReadStream(path)) hash.update(bytes as Buffer);
  return hash.digest();
}
