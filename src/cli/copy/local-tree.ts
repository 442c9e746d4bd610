import { createHash } from "node:crypto";
import { createReadStream } from "node:fs";
import { lstat, readdir, readlink } from "node:fs/promises";
import { join } from "node:path";
import type { TreePath } from "../../client/index.ts";

const MODE_BITS = 0o7777;

/** All that is below a local directory, parents before children; nothing when it is not there. */
export async function listLocalTree(
  directory: string,
  { withSha256 }: { withSha256: boolean },
): Promise<TreePath[]> {
  const found: TreePath[] = [];
  const pending = [""];
  for (let parent = pending.shift(); parent !== undefined; parent = pending.shift()) {
    const names = await readdir(join(directory, parent)).catch((reason: unknown) => {
      if (parent === "" && (reason as { code?: string }).code === "ENOENT") return [];
      throw reason;
    });
    for (const name of names) {
      const path = parent === "" ? name : `${parent}/${name}`;
      const entry = await describe(directory, path, withSha256);
      found.push(entry);
      if (entry.kind === "directory") pending.push(path);
    }
  }
  return found;
}

async function describe(directory: string, path: string, withSha256: boolean): Promise<TreePath> {
  const whole = join(directory, path);
  const stats = await lstat(whole);
  const kind = stats.isFile()
    ? "file"
    : stats.isDirectory()
      ? "directory"
      : stats.isSymbolicLink()
        ? "symlink"
        : "other";
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

async function sha256Of(path: string): Promise<Uint8Array> {
  const hash = createHash("sha256");
  for await (const bytes of createReadStream(path)) hash.update(bytes as Buffer);
  return hash.digest();
}
