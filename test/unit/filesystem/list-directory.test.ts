import { mkdirSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { describe, expect, test } from "vitest";
import type { Entry } from "../../../src/filesystem/entries.ts";
import { listDirectory } from "../../../src/filesystem/list-directory.ts";
import { bytesPath, makeDeepTree, makeTree, noAbort, users } from "../../helpers/filesystem.ts";
import { scratchDirectory } from "../../helpers/scratch.ts";

const list = (path: string, depth = 1, mostEntries = 1000) =>
  listDirectory({ path, depth, mostEntries }, users, noAbort);
const pathsBelow = (directory: string, entries: Entry[]) =>
  entries.map(({ path }) => path.slice(directory.length + 1));

describe("listDirectory", () => {
  test("names come in byte order, parents before children", async () => {
    using scratch = scratchDirectory();
    makeTree(scratch.path, "b/z", "b/A/deep/er", "a-1", "a/x", "B", "é", ".hidden");

    const entries = await list(scratch.path, 3);

    expect(pathsBelow(scratch.path, entries)).toEqual([
      ".hidden",
      "B",
      "a",
      "a/x",
      "a-1",
      "b",
      "b/A",
      "b/A/deep",
      "b/z",
      "é",
    ]);
  });

  test.for([
    [0, ["a"]],
    [1, ["a"]],
    [2, ["a", "a/b"]],
    [3, ["a", "a/b", "a/b/c"]],
    [4_294_967_295, ["a", "a/b", "a/b/c", "a/b/c/d"]],
  ] as const)("the depth %i goes that far", async ([depth, expected]) => {
    using scratch = scratchDirectory();
    makeTree(scratch.path, "a/b/c/d");

    expect(pathsBelow(scratch.path, await list(scratch.path, depth))).toEqual(expected);
  });

  test("links inside are listed and not entered", async () => {
    using scratch = scratchDirectory();
    makeTree(scratch.path, "real/inside");
    symlinkSync("real", `${scratch.path}/link`);
    symlinkSync(".", `${scratch.path}/real/loop`);

    const entries = await list(scratch.path, 9);

    expect(pathsBelow(scratch.path, entries)).toEqual(["link", "real", "real/inside", "real/loop"]);
    expect(entries[0]).toMatchObject({
      kind: "directory",
      linkTarget: `${scratch.path}/real`,
    });
  });

  test("a link that is asked for is followed, and stays in the paths, cleaned", async () => {
    using scratch = scratchDirectory();
    makeTree(scratch.path, "real/sub/file");
    symlinkSync("real", `${scratch.path}/link`);

    const entries = await list(`${scratch.path}/real/..//link/`, 2);

    expect(pathsBelow(scratch.path, entries)).toEqual(["link/sub", "link/sub/file"]);
  });

  test("names that are no UTF-8, or odd, never fail the listing", async () => {
    using scratch = scratchDirectory();
    mkdirSync(bytesPath(`${scratch.path}/\xff`));
    writeFileSync(bytesPath(`${scratch.path}/\xff/\xc3`), "ab");
    makeTree(scratch.path, "new\nline", "sp ace", "\u{1f600}", "x".repeat(255));

    const entries = await list(scratch.path, 2);

    expect(pathsBelow(scratch.path, entries)).toEqual([
      "new\nline",
      "sp ace",
      "x".repeat(255),
      "\u{1f600}",
      "\ufffd",
      "\ufffd/\ufffd",
    ]);
    expect(entries.at(-1)).toMatchObject({ sizeBytes: 2n, kind: "file" });
  });

  test("an empty directory has no entries", async () => {
    using scratch = scratchDirectory();

    await expect(list(scratch.path)).resolves.toEqual([]);
  });

  test("what vanishes meanwhile is left out", async () => {
    using scratch = scratchDirectory();
    for (let index = 0; index < 300; index += 1) makeTree(scratch.path, `${index}/a/b`);

    const listing = list(scratch.path, 4, 10_000);
    for (let index = 0; index < 300; index += 2)
      rmSync(`${scratch.path}/${index}`, { recursive: true });
    const entries = await listing;

    const paths = pathsBelow(scratch.path, entries);
    expect(paths).toEqual(expect.arrayContaining(["1", "1/a", "1/a/b", "299/a/b"]));
  });

  test("system directories whose entries come and go can be listed", async () => {
    const entries = await list("/proc", 2, 100_000);

    expect(entries.map(({ path }) => path)).toContain("/proc/self");
  });

  test("the agent does other things while it lists many", async () => {
    using scratch = scratchDirectory();
    for (let index = 0; index < 2_000; index += 1) writeFileSync(`${scratch.path}/${index}`, "");
    let turns = 0;
    const count = () => {
      turns += 1;
      counting = setImmediate(count);
    };
    let counting = setImmediate(count);

    const entries = await list(scratch.path, 1, 2_000);

    clearImmediate(counting);
    expect(entries).toHaveLength(2_000);
    expect(turns).toBeGreaterThan(50);
  });
});

describe("listDirectory refuses", () => {
  test("a missing path", async () => {
    await expect(list("/does/not/exist")).rejects.toMatchObject({
      code: "not-found",
      message: expect.stringMatching(/^path not found: .*\/does\/not\/exist/),
    });
  });

  test("a path that leads to no directory", async () => {
    using scratch = scratchDirectory();
    symlinkSync("/etc/passwd", `${scratch.path}/link`);

    for (const path of ["/etc/passwd", `${scratch.path}/link`, "/dev/null"]) {
      await expect(list(path)).rejects.toMatchObject({
        code: "invalid",
        message: `path is not a directory: ${path}`,
      });
    }
  });

  test("links that go in a circle", async () => {
    using scratch = scratchDirectory();
    symlinkSync("loop", `${scratch.path}/loop`);

    await expect(list(`${scratch.path}/loop`)).rejects.toMatchObject({
      code: "wrong-state",
      message: `cyclic symlink or chain >255 links at "${scratch.path}/loop"`,
    });
  });

  test("a file in the middle of the path", async () => {
    await expect(list("/etc/passwd/x")).rejects.toMatchObject({ code: "internal" });
  });

  test("a path longer than a path can be", async () => {
    await expect(list(`/${"x".repeat(300)}`)).rejects.toMatchObject({
      code: "internal",
      message: expect.stringContaining("ENAMETOOLONG"),
    });
    await expect(list(`/${"x/".repeat(4_000)}`)).rejects.toMatchObject({ code: "not-found" });
  });

  test("a tree deeper than a path can be", async () => {
    using scratch = scratchDirectory();
    makeDeepTree(scratch.path, 2_100);

    await expect(list(scratch.path, 5_000, 5_000)).rejects.toMatchObject({
      code: "internal",
      message: expect.stringContaining("ENAMETOOLONG"),
    });
    await expect(list(scratch.path, 100)).resolves.toHaveLength(100);
  });

  test("to hold more than its bound", async () => {
    using scratch = scratchDirectory();
    makeTree(scratch.path, "a/1", "a/2", "b/1");

    await expect(list(scratch.path, 2, 4)).rejects.toMatchObject({
      code: "exhausted",
      message: `more than 4 entries below ${scratch.path}: list fewer levels`,
    });
    await expect(list(scratch.path, 2, 5)).resolves.toHaveLength(5);
  });

  test("to go on after an abort", async () => {
    using scratch = scratchDirectory();
    for (let index = 0; index < 50; index += 1) makeTree(scratch.path, `${index}/a/b/c`);
    const controller = new AbortController();

    const listing = listDirectory({ path: scratch.path, depth: 9 }, users, controller.signal);
    controller.abort(new Error("gone"));

    await expect(listing).rejects.toThrow("gone");
  });
});
