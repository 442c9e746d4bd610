import { mkdtempSync, rmSync, statSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, expect, test } from "vitest";
import { makeDirectories } from "../../../src/system/make-directories.ts";

let directory: string;
beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), "thaw-"));
});
afterEach(() => rmSync(directory, { recursive: true }));

test("all that is missing is made", async () => {
  await makeDirectories(join(directory, "a/b/c"), 0o700);
  await makeDirectories(join(directory, "a/b/c/"), 0o700);

  expect(statSync(join(directory, "a/b/c")).isDirectory()).toBe(true);
  expect(statSync(join(directory, "a")).mode & 0o7777).toBe(0o700);
});

test("many at once do not hinder each other", async () => {
  const paths = Array.from({ length: 20 }, (_, number) => join(directory, "a/b/c", String(number)));

  await Promise.all(paths.map((path) => makeDirectories(path)));

  expect(paths.every((path) => statSync(path).isDirectory())).toBe(true);
});

test("a file in the way is an error", async () => {
  writeFileSync(join(directory, "file"), "");

  await expect(makeDirectories(join(directory, "file/below"))).rejects.toThrow("ENOTDIR");
});

test("a link that leads nowhere is an error", async () => {
  symlinkSync("nowhere", join(directory, "link"));

  await expect(makeDirectories(join(directory, "link/below"))).rejects.toThrow();
});

test("where the kernel makes nothing it is an error and no endless search", async () => {
  await expect(makeDirectories("/proc/thaw/none")).rejects.toMatchObject({ code: "ENOENT" });
});
