import { execFileSync } from "node:child_process";
import {
  chmodSync,
  chownSync,
  closeSync,
  openSync,
  symlinkSync,
  utimesSync,
  writeFileSync,
} from "node:fs";
import { createServer } from "node:net";
import { expect, test } from "vitest";
import { readEntry, readRawEntry } from "../../../src/filesystem/entries.ts";
import { writeMetadata } from "../../../src/filesystem/metadata.ts";
import { bytesPath, makeTree, users } from "../../helpers/filesystem.ts";
import { scratchDirectory } from "../../helpers/scratch.ts";

test("a file is described in full", async () => {
  using scratch = scratchDirectory();
  const path = `${scratch.path}/note.txt`;
  writeFileSync(path, "twelve bytes", { mode: 0o640 });
  chmodSync(path, 0o4640);
  chownSync(path, 1, 2);
  chmodSync(path, 0o4640);
  utimesSync(path, 1_700_000_000.25, 1_700_000_000.25);
  const fd = openSync(path, "r+");
  writeMetadata(fd, { author: "ada" });
  closeSync(fd);

  const entry = await readEntry(path, users);

  expect(entry).toEqual({
    name: "note.txt",
    path,
    kind: "file",
    sizeBytes: 12n,
    mode: 0o640,
    permissions: "urw-r-----",
    owner: users.nameOf(1),
    group: users.groupNameOf(2),
    modifiedNs: 1_700_000_000_250_000_000n,
    linkTarget: undefined,
    metadata: { author: "ada" },
  });
});

test("an id without a name is in decimal", async () => {
  using scratch = scratchDirectory();
  makeTree(scratch.path, "a");
  chownSync(`${scratch.path}/a`, 54_321, 54_322);

  const entry = await readEntry(`${scratch.path}/a`, users);

  expect(entry).toMatchObject({ owner: "54321", group: "54322" });
});

test("a link has the kind and mode of its target, and the rest of its own", async () => {
  using scratch = scratchDirectory();
  makeTree(scratch.path, "real/deep/");
  chmodSync(`${scratch.path}/real/deep`, 0o1750);
  symlinkSync("real", `${scratch.path}/first`);
  symlinkSync("first/deep", `${scratch.path}/link`);

  const entry = await readEntry(`${scratch.path}/link`, users);

  expect(entry).toMatchObject({
    name: "link",
    path: `${scratch.path}/link`,
    kind: "directory",
    sizeBytes: BigInt("first/deep".length),
    mode: 0o750,
    permissions: "Lrwxrwxrwx",
    linkTarget: `${scratch.path}/real/deep`,
  });
});

test.for([
  ["nothing", "missing"],
  ["itself", "link"],
] as const)("a link to %s is described without a target", async ([, target]) => {
  using scratch = scratchDirectory();
  symlinkSync(target, `${scratch.path}/link`);

  const entry = await readEntry(`${scratch.path}/link`, users);

  expect(entry).toMatchObject({
    kind: "other",
    mode: 0,
    permissions: "Lrwxrwxrwx",
    linkTarget: `${scratch.path}/link`,
    metadata: {},
  });
});

test("a chain of links longer than the kernel follows is followed", async () => {
  using scratch = scratchDirectory();
  makeTree(scratch.path, "0");
  for (let link = 1; link <= 60; link += 1) symlinkSync(`${link - 1}`, `${scratch.path}/${link}`);

  const entry = await readEntry(`${scratch.path}/60`, users);

  expect(entry).toMatchObject({ kind: "file", linkTarget: `${scratch.path}/0` });
});

test("a pipe, a socket and a device are neither file nor directory", async () => {
  using scratch = scratchDirectory();
  execFileSync("mkfifo", ["-m", "600", `${scratch.path}/pipe`]);
  const server = createServer().listen(`${scratch.path}/socket`);
  await new Promise((resolve) => server.once("listening", resolve));

  const pipe = await readEntry(`${scratch.path}/pipe`, users);
  const socket = await readEntry(`${scratch.path}/socket`, users);
  const device = await readEntry("/dev/null", users);

  server.close();
  expect(pipe).toMatchObject({ kind: "other", permissions: "prw-------", mode: 0o600 });
  expect(socket).toMatchObject({ kind: "other", permissions: expect.stringMatching(/^Srwx/) });
  expect(device).toMatchObject({ kind: "other", permissions: "Dcrw-rw-rw-" });
});

test.for([
  ["/", "/"],
  ["///", "/"],
  ["/etc/", "etc"],
  ["/etc/.", "."],
  ["/etc/../etc", "etc"],
] as const)("the name of %s is %s", async ([path, name]) => {
  await expect(readEntry(path, users)).resolves.toMatchObject({ name, path, kind: "directory" });
});

test("a name that is no UTF-8 is described, its bytes replaced in the text only", async () => {
  using scratch = scratchDirectory();
  writeFileSync(bytesPath(`${scratch.path}/\xff\xfe`), "abc");

  const { entry } = await readRawEntry(
    `${scratch.path}/\xff\xfe`,
    `${scratch.path}/\ufffd\ufffd`,
    users,
  );

  expect(entry).toMatchObject({ name: "\ufffd\ufffd", sizeBytes: 3n, kind: "file" });
});

test("times long before and after ours are exact", async () => {
  using scratch = scratchDirectory();
  execFileSync("touch", ["-d", "1903-04-05T06:07:08.000000009Z", `${scratch.path}/old`]);

  const entry = await readEntry(`${scratch.path}/old`, users);

  expect(entry.modifiedNs).toBe(BigInt(Date.parse("1903-04-05T06:07:08Z")) * 1_000_000n + 9n);
});

test("a missing path fails as the system does", async () => {
  await expect(readEntry("/does/not/exist", users)).rejects.toMatchObject({ code: "ENOENT" });
  await expect(readEntry("/etc/passwd/x", users)).rejects.toMatchObject({ code: "ENOTDIR" });
});
