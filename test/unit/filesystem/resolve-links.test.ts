import { mkdirSync, realpathSync, symlinkSync } from "node:fs";
import { expect, test } from "vitest";
import { resolveLinks } from "../../../src/filesystem/resolve-links.ts";
import { scratchDirectory } from "../../helpers/scratch.ts";

/** `link-1` leads to `link-2`, and so on to the directory `end`. */
function chainOf(length: number, directory: string): string {
  mkdirSync(`${directory}/end`);
  for (let link = 1; link <= length; link += 1) {
    symlinkSync(link === length ? "end" : `link-${link + 1}`, `${directory}/link-${link}`);
  }
  return `${directory}/link-1`;
}

test.for([1, 40, 41, 255])("a chain of %i links is followed", async (length) => {
  using scratch = scratchDirectory();
  const link = chainOf(length, scratch.path);

  await expect(resolveLinks(link)).resolves.toBe(`${scratch.path}/end`);
});

test("a chain of 256 links is refused", async () => {
  using scratch = scratchDirectory();
  const link = chainOf(256, scratch.path);

  await expect(resolveLinks(link)).rejects.toMatchObject({
    code: "wrong-state",
    message: `cyclic symlink or chain >255 links at "${link}"`,
  });
});

test.for([
  ["itself", [["a", "a"]]],
  [
    "another that leads back",
    [
      ["a", "b"],
      ["b", "a"],
    ],
  ],
  ["something below itself", [["a", "a/x"]]],
  [
    "a circle that begins later",
    [
      ["a", "b"],
      ["b", "c"],
      ["c", "b"],
    ],
  ],
] as const)("a link to %s is refused", async ([, links]) => {
  using scratch = scratchDirectory();
  for (const [name, target] of links) symlinkSync(target, `${scratch.path}/${name}`);

  await expect(resolveLinks(`${scratch.path}/a`)).rejects.toMatchObject({
    code: "wrong-state",
    message: `cyclic symlink or chain >255 links at "${scratch.path}/a"`,
  });
});

test("a long chain may climb, start at the root, and be in the middle of a path", async () => {
  using scratch = scratchDirectory();
  mkdirSync(`${scratch.path}/sub/deep`, { recursive: true });
  const link = chainOf(50, `${scratch.path}/sub`);
  symlinkSync("/", `${scratch.path}/root`);

  const path = `${scratch.path}/root/${link}/../deep/./../end`;

  await expect(resolveLinks(path)).resolves.toBe(`${scratch.path}/sub/end`);
});

test("visiting a link twice is no circle", async () => {
  using scratch = scratchDirectory();
  const link = chainOf(41, scratch.path);

  await expect(resolveLinks(`${link}/../link-1`)).resolves.toBe(`${scratch.path}/end`);
});

test("a link to nothing fails as the system does", async () => {
  using scratch = scratchDirectory();
  symlinkSync("nothing", `${scratch.path}/broken`);

  await expect(resolveLinks(`${scratch.path}/broken`)).rejects.toMatchObject({ code: "ENOENT" });
});

test("the root and what is no link are themselves", async () => {
  await expect(resolveLinks("/")).resolves.toBe("/");
  await expect(resolveLinks("/etc/../etc/passwd")).resolves.toBe(realpathSync("/etc/passwd"));
});
