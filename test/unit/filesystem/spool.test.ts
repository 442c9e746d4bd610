import { execFileSync } from "node:child_process";
import { closeSync, readdirSync, statSync } from "node:fs";
import { expect, test } from "vitest";
import { openSpool } from "../../../src/filesystem/spool.ts";
import { scratchDirectory } from "../../helpers/scratch.ts";

test("where no file can be nameless, as on NFS, its name is gone at once", async () => {
  using scratch = scratchDirectory();
  // The one kind of file system of every kernel that makes files, but no nameless ones.
  execFileSync("mount", ["-t", "mqueue", "thaw-test", scratch.path]);
  try {
    const fd = await openSpool(`${scratch.path}/target`, statSync(scratch.path));

    expect(readdirSync(scratch.path)).toEqual([]);
    closeSync(fd);
  } finally {
    execFileSync("umount", [scratch.path]);
  }
});
