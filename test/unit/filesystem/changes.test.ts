import { execFileSync } from "node:child_process";
import {
  existsSync,
  lstatSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { describe, expect, test } from "vitest";
import { makeDirectory } from "../../../src/filesystem/make-directory.ts";
import { move } from "../../../src/filesystem/move.ts";
import { remove } from "../../../src/filesystem/remove.ts";
import { statEntry } from "../../../src/filesystem/stat.ts";
import { bytesPath, makeDeepTree, makeTree, noAbort, users } from "../../helpers/filesystem.ts";
import { openFilesIn, scratchDirectory, smallFilesystem } from "../../helpers/scratch.ts";

const daemon = users.find("daemon");
if (daemon === undefined) throw new Error("the account daemon is missing");

describe("statEntry", () => {
  test("describes a path", async () => {
    await expect(statEntry("/etc/passwd", users)).resolves.toMatchObject({ kind: "file" });
  });

  test("a missing path is not-found", async () => {
    await expect(statEntry("/does/not/exist", users)).rejects.toMatchObject({
      code: "not-found",
      message: expect.stringMatching(/^file not found: .*\/does\/not\/exist/),
    });
  });

  test.for(["/etc/passwd/x", `/${"x".repeat(256)}`, `/${"x/".repeat(3_000)}`])(
    "a path that cannot be looked at is internal (%#)",
    async (path) => {
      await expect(statEntry(path, users)).rejects.toMatchObject({
        code: "internal",
        message: expect.stringMatching(/^error getting file info: /),
      });
    },
  );
});

describe("makeDirectory", () => {
  test("makes the parents, too, and gives them to the user", async () => {
    using scratch = scratchDirectory();

    await makeDirectory(`${scratch.path}/a/b/c`, daemon);

    for (const name of ["a", "a/b", "a/b/c"]) {
      expect(statSync(`${scratch.path}/${name}`)).toMatchObject({
        uid: daemon.uid,
        gid: daemon.gid,
        mode: 0o040755,
      });
    }
  });

  test("a directory that is there, or a link to one, exists", async () => {
    using scratch = scratchDirectory();
    symlinkSync(".", `${scratch.path}/link`);

    for (const path of [scratch.path, `${scratch.path}/link`, "/"]) {
      await expect(makeDirectory(path, daemon)).rejects.toMatchObject({
        code: "exists",
        message: `directory already exists: ${path}`,
      });
    }
  });

  test("a file in its place is invalid", async () => {
    await expect(makeDirectory("/etc/passwd", daemon)).rejects.toMatchObject({
      code: "invalid",
      message: "path already exists but it is not a directory: /etc/passwd",
    });
  });

  test.for(["/etc/passwd/x", `/tmp/${"x".repeat(256)}`, "/proc/nothing/here"])(
    "a directory that cannot be made is internal (%#)",
    async (path) => {
      await expect(makeDirectory(path, daemon)).rejects.toMatchObject({ code: "internal" });
    },
  );

  test("a broken link in its place is internal, and nothing is made through it", async () => {
    using scratch = scratchDirectory();
    symlinkSync("target", `${scratch.path}/broken`);

    await expect(makeDirectory(`${scratch.path}/broken`, daemon)).rejects.toMatchObject({
      code: "internal",
    });

    expect(existsSync(`${scratch.path}/target`)).toBe(false);
  });
});

describe("move", () => {
  test("makes the parents of the destination and keeps the owner", async () => {
    using scratch = scratchDirectory();
    writeFileSync(`${scratch.path}/a`, "content");

    await move({
      source: `${scratch.path}/a`,
      destination: `${scratch.path}/new/parent/b`,
      user: daemon,
    });

    expect(readFileSync(`${scratch.path}/new/parent/b`, "utf8")).toBe("content");
    expect(statSync(`${scratch.path}/new/parent/b`).uid).toBe(0);
    expect(statSync(`${scratch.path}/new/parent`).uid).toBe(daemon.uid);
  });

  test("replaces a file, an empty directory, and a link but not its target", async () => {
    using scratch = scratchDirectory();
    makeTree(scratch.path, "file", "other", "full/x", "empty/");
    symlinkSync("other", `${scratch.path}/link`);
    const to = (source: string, destination: string) =>
      move({
        source: `${scratch.path}/${source}`,
        destination: `${scratch.path}/${destination}`,
        user: daemon,
      });

    await to("full", "empty");
    await to("file", "link");

    expect(readdirSync(scratch.path)).toEqual(["empty", "link", "other"]);
    expect(readdirSync(`${scratch.path}/empty`)).toEqual(["x"]);
    expect(lstatSync(`${scratch.path}/link`).isFile()).toBe(true);
  });

  test("a missing source is not-found, and the parents stay", async () => {
    using scratch = scratchDirectory();
    const request = {
      source: `${scratch.path}/none`,
      destination: `${scratch.path}/made/b`,
      user: daemon,
    };

    await expect(move(request)).rejects.toMatchObject({
      code: "not-found",
      message: expect.stringMatching(/^source file not found: /),
    });

    expect(existsSync(`${scratch.path}/made`)).toBe(true);
  });

  test("what rename cannot do is internal", async () => {
    using scratch = scratchDirectory();
    using other = smallFilesystem("size=1m");
    makeTree(scratch.path, "file", "directory/x", "full/y");
    const cases = [
      ["file", `${scratch.path}/full`, "EISDIR"],
      ["directory", `${scratch.path}/full`, "ENOTEMPTY"],
      ["directory", `${scratch.path}/file`, "ENOTDIR"],
      ["directory", `${scratch.path}/directory/below`, "EINVAL"],
      ["file", `${other.path}/file`, "EXDEV"],
    ] as const;

    for (const [source, destination, reason] of cases) {
      await expect(
        move({ source: `${scratch.path}/${source}`, destination, user: daemon }),
      ).rejects.toMatchObject({
        code: "internal",
        message: expect.stringMatching(`^error renaming: ${reason}`),
      });
    }
  });

  test("a file among the destination's parents is internal", async () => {
    using scratch = scratchDirectory();
    makeTree(scratch.path, "a", "file");
    const request = {
      source: `${scratch.path}/a`,
      destination: `${scratch.path}/file/b`,
      user: daemon,
    };

    await expect(move(request)).rejects.toMatchObject({
      code: "internal",
      message: expect.stringContaining(`path is a file: ${scratch.path}/file`),
    });
  });
});

describe("remove", () => {
  test("removes a tree with whatever names it has", async () => {
    using scratch = scratchDirectory();
    makeTree(scratch.path, "tree/a/b/c", "tree/a/d", "tree/new\nline/", "other");
    mkdirSync(bytesPath(`${scratch.path}/tree/\xff`));
    writeFileSync(bytesPath(`${scratch.path}/tree/\xff/\xfe`), "");
    execFileSync("mkfifo", [`${scratch.path}/tree/pipe`]);

    await remove(`${scratch.path}/tree`, noAbort);

    expect(readdirSync(scratch.path)).toEqual(["other"]);
  });

  test.for(["", "/", "//"])("of a link (with %j after it) only the link goes", async (slashes) => {
    using scratch = scratchDirectory();
    makeTree(scratch.path, "target/keep");
    symlinkSync("target", `${scratch.path}/link`);

    await remove(`${scratch.path}/link${slashes}`, noAbort);

    expect(readdirSync(scratch.path)).toEqual(["target"]);
    expect(existsSync(`${scratch.path}/target/keep`)).toBe(true);
  });

  test("links inside a tree are not followed", async () => {
    using scratch = scratchDirectory();
    makeTree(scratch.path, "tree/a", "target/keep");
    symlinkSync("../target", `${scratch.path}/tree/link`);

    await remove(`${scratch.path}/tree`, noAbort);

    expect(existsSync(`${scratch.path}/target/keep`)).toBe(true);
  });

  test("a missing path is no error", async () => {
    await expect(remove("/does/not/exist", noAbort)).resolves.toBeUndefined();
  });

  test("a tree deeper than a path can be is removed, and no descriptor stays open", async () => {
    using scratch = scratchDirectory();
    mkdirSync(`${scratch.path}/tree`);
    makeDeepTree(`${scratch.path}/tree`, 2_100);

    await remove(`${scratch.path}/tree`, noAbort);

    expect(readdirSync(scratch.path)).toEqual([]);
    expect(openFilesIn(scratch.path)).toEqual([]);
  });

  test.for(["/", "//", "/tmp/.", "/tmp/..", "/tmp/thaw/../"])(
    "%s is refused before damage",
    async (path) => {
      await expect(remove(path, noAbort)).rejects.toMatchObject({
        code: "internal",
        message: expect.stringMatching(/^error removing file or directory: /),
      });
    },
  );

  test("what cannot be removed is told, and the rest goes all the same", async () => {
    using scratch = scratchDirectory();
    makeTree(scratch.path, "tree/a/1", "tree/a/2", "tree/mount/", "tree/z/");
    execFileSync("mount", ["-t", "tmpfs", "none", `${scratch.path}/tree/mount`]);
    try {
      await expect(remove(`${scratch.path}/tree`, noAbort)).rejects.toMatchObject({
        code: "internal",
        message: expect.stringMatching(/^error removing file or directory: EBUSY/),
      });

      expect(readdirSync(`${scratch.path}/tree`)).toEqual(["mount"]);
    } finally {
      execFileSync("umount", [`${scratch.path}/tree/mount`]);
    }
  });

  test("a file in the middle of the path is internal", async () => {
    await expect(remove("/etc/passwd/x", noAbort)).rejects.toMatchObject({
      code: "internal",
      message: expect.stringMatching(/^error removing file or directory: ENOTDIR/),
    });
  });

  test("two at once on the same tree both succeed", async () => {
    using scratch = scratchDirectory();
    for (let index = 0; index < 100; index += 1) makeTree(scratch.path, `tree/${index}/a/b`);

    const both = [0, 1].map(() => remove(`${scratch.path}/tree`, noAbort));

    await expect(Promise.all(both)).resolves.toEqual([undefined, undefined]);
    expect(readdirSync(scratch.path)).toEqual([]);
  });

  test("an abort stops it half-way", async () => {
    using scratch = scratchDirectory();
    for (let index = 0; index < 300; index += 1) makeTree(scratch.path, `tree/${index}/a`);
    const controller = new AbortController();

    const removal = remove(`${scratch.path}/tree`, controller.signal);
    controller.abort(new Error("gone"));

    await expect(removal).rejects.toThrow("gone");
    expect(readdirSync(`${scratch.path}/tree`).length).toBeGreaterThan(0);
    expect(openFilesIn(scratch.path)).toEqual([]);
  });
});
