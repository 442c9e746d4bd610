import { execFileSync } from "node:child_process";
import { closeSync, mkdirSync, openSync, symlinkSync, writeFileSync } from "node:fs";
import * as fc from "fast-check";
import { expect, test } from "vitest";
import { readMetadata, writeMetadata } from "../../../src/filesystem/metadata.ts";
import { callLibc } from "../../../src/system/libc.ts";
import { scratchDirectory } from "../../helpers/scratch.ts";

/** Writes metadata to the file at `path`. */
function write(path: string, metadata: Record<string, string>): boolean {
  const fd = openSync(path, "r+");
  try {
    return writeMetadata(fd, metadata);
  } finally {
    closeSync(fd);
  }
}

/** Sets one raw extended attribute. */
function setRaw(path: string, name: Buffer, value: Buffer): void {
  callLibc(
    "int setxattr(const char *path, const void *name, const void *value, unsigned long size, int flags)",
    path,
    name,
    value,
    value.length,
    0,
  );
}

test("what is written replaces everything that was there", () => {
  using scratch = scratchDirectory();
  const path = `${scratch.path}/f`;
  writeFileSync(path, "");

  expect(write(path, { a: "1", b: "" })).toBe(true);
  expect(readMetadata(path)).toEqual({ a: "1", b: "" });

  write(path, { b: "2" });
  expect(readMetadata(path)).toEqual({ b: "2" });

  write(path, {});
  expect(readMetadata(path)).toEqual({});
});

test("metadata is kept in extended attributes that other programs can read", () => {
  using scratch = scratchDirectory();
  const path = `${scratch.path}/f`;
  writeFileSync(path, "");

  write(path, { color: "blue" });

  const name = Buffer.alloc(64);
  const length = callLibc(
    "long listxattr(const char *path, _Out_ void *list, unsigned long size)",
    path,
    name,
    name.length,
  );
  expect(name.toString("utf8", 0, length)).toBe("user.e2b.color\0");
});

test("other attributes are neither shown nor removed", () => {
  using scratch = scratchDirectory();
  const path = `${scratch.path}/f`;
  writeFileSync(path, "");
  setRaw(path, Buffer.from("user.other\0"), Buffer.from("x"));
  setRaw(path, Buffer.from("user.e2b.a\0"), Buffer.from("1"));

  expect(readMetadata(path)).toEqual({ a: "1" });

  write(path, {});
  const list = Buffer.alloc(64);
  const signature = "long listxattr(const char *path, _Out_ void *list, unsigned long size)";
  expect(list.toString("utf8", 0, callLibc(signature, path, list, 64))).toBe("user.other\0");
});

test("names and values that are no UTF-8 are left out", () => {
  using scratch = scratchDirectory();
  const path = `${scratch.path}/f`;
  writeFileSync(path, "");
  setRaw(path, Buffer.from("user.e2b.\xff\0", "latin1"), Buffer.from("1"));
  setRaw(path, Buffer.from("user.e2b.bad\0"), Buffer.from([0xff]));
  setRaw(path, Buffer.from("user.e2b.good\0"), Buffer.from("ä"));

  expect(readMetadata(path)).toEqual({ good: "ä" });
});

test("links are followed, and directories have metadata too", () => {
  using scratch = scratchDirectory();
  mkdirSync(`${scratch.path}/d`);
  symlinkSync("d", `${scratch.path}/link`);
  setRaw(`${scratch.path}/d`, Buffer.from("user.e2b.a\0"), Buffer.from("1"));

  expect(readMetadata(`${scratch.path}/link`)).toEqual({ a: "1" });
});

test.for(["/nonexistent", "/dev/null", "/proc/self/status", "/tmp\0x"])("%j has none", (path) => {
  expect(readMetadata(path)).toEqual({});
});

test("too little space leaves the metadata as it was", () => {
  using scratch = scratchDirectory();
  const path = `${scratch.path}/f`;
  writeFileSync(path, "");
  write(path, { a: "1", b: "2" });

  expect(() => write(path, { a: "3", c: "x".repeat(60_000) })).toThrow(
    expect.objectContaining({
      code: "exhausted",
      message: expect.stringMatching(/^not enough space for file metadata: /),
    }),
  );

  expect(readMetadata(path)).toEqual({ a: "1", b: "2" });
});

test("a filesystem without attributes is no failure", () => {
  using scratch = scratchDirectory();
  execFileSync("mount", ["-t", "ramfs", "thaw-test", scratch.path]);
  try {
    writeFileSync(`${scratch.path}/f`, "");

    expect(write(`${scratch.path}/f`, { a: "1" })).toBe(false);
    expect(readMetadata(`${scratch.path}/f`)).toEqual({});
  } finally {
    execFileSync("umount", [scratch.path]);
  }
});

test("whatever fits is read back as it was written", () => {
  using scratch = scratchDirectory();
  const path = `${scratch.path}/f`;
  writeFileSync(path, "");
  const text = fc.string({ unit: fc.constantFrom("a", "b", "c", " ", "~", "!", "_", ".", ":") });
  const metadata = fc.dictionary(
    text.filter((key) => key !== ""),
    text,
    { maxKeys: 8 },
  );
  fc.assert(
    fc.property(metadata, (entries) => {
      write(path, entries);

      expect(readMetadata(path)).toEqual(entries);
    }),
  );
});
