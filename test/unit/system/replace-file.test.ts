import { spawnSync } from "node:child_process";
import {
  chmodSync,
  chownSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, expect, test } from "vitest";
import { replaceFile } from "../../../src/system/replace-file.ts";

let directory: string;
beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), "thaw-"));
});
afterEach(() => rmSync(directory, { recursive: true }));

test("a new file appears with mode 0644", async () => {
  const file = join(directory, "new");

  await replaceFile(file, Buffer.from("text"));

  expect(readFileSync(file, "utf8")).toBe("text");
  expect(statSync(file).mode & 0o7777).toBe(0o644);
});

test("a file is replaced as a whole and keeps mode and owner", async () => {
  const file = join(directory, "old");
  writeFileSync(file, "much longer than the new text");
  chmodSync(file, 0o640);
  chownSync(file, 1, 2);
  const before = statSync(file).ino;

  await replaceFile(file, Buffer.from("text"));

  expect(readFileSync(file, "utf8")).toBe("text");
  expect(statSync(file)).toMatchObject({ uid: 1, gid: 2 });
  expect(statSync(file).mode & 0o7777).toBe(0o640);
  expect(statSync(file).ino).not.toBe(before);
  expect(readdirSync(directory)).toEqual(["old"]);
});

test("a mode that is given is set", async () => {
  const file = join(directory, "old");
  writeFileSync(file, "old");
  chmodSync(file, 0o600);

  await replaceFile(file, Buffer.from("text"), 0o644);

  expect(statSync(file).mode & 0o7777).toBe(0o644);
});

test("a link goes on pointing at the file", async () => {
  writeFileSync(join(directory, "real"), "old");
  symlinkSync("real", join(directory, "link"));

  await replaceFile(join(directory, "link"), Buffer.from("text"));

  expect(readlinkSync(join(directory, "link"))).toBe("real");
  expect(readFileSync(join(directory, "real"), "utf8")).toBe("text");
});

test("a file that is a mount point is overwritten where it is", async () => {
  const [source, target] = [join(directory, "source"), join(directory, "target")];
  writeFileSync(source, "much longer than the new text");
  writeFileSync(target, "below");
  expect(spawnSync("mount", ["--bind", source, target]).status).toBe(0);
  try {
    await replaceFile(target, Buffer.from("text"));

    expect(readFileSync(target, "utf8")).toBe("text");
    expect(readFileSync(source, "utf8")).toBe("text");
    expect(readdirSync(directory).sort()).toEqual(["source", "target"]);
  } finally {
    spawnSync("umount", [target]);
  }
});

test("what cannot be written is an error and leaves nothing behind", async () => {
  await expect(replaceFile(join(directory, "no", "such"), Buffer.from("text"))).rejects.toThrow(
    "ENOENT",
  );
  await expect(replaceFile(directory, Buffer.from("text"))).rejects.toThrow();

  expect(readdirSync(directory)).toEqual([]);
  expect(readdirSync(tmpdir()).filter((name) => name.endsWith(".tmp"))).toEqual([]);
});
