import { mkdirSync, statSync, symlinkSync, writeFileSync } from "node:fs";
import { expect, test } from "vitest";
import { makeParents } from "../../../src/filesystem/parents.ts";
import { Users } from "../../../src/system/users.ts";
import { watchDirectory } from "../../helpers/inotify.ts";
import { scratchDirectory } from "../../helpers/scratch.ts";

const daemon = new Users().find("daemon") ?? expect.fail("no account called daemon");

test("missing directories are made for the user, existing ones stay as they are", async () => {
  using scratch = scratchDirectory();
  mkdirSync(`${scratch.path}/old`, 0o700);

  await makeParents(`${scratch.path}/old/a/b`, daemon);

  expect(statSync(`${scratch.path}/old`)).toMatchObject({ uid: 0, mode: 0o40700 });
  for (const made of ["old/a", "old/a/b"]) {
    const { uid, gid, mode } = statSync(`${scratch.path}/${made}`);
    expect({ uid, gid, mode }).toEqual({ uid: daemon.uid, gid: daemon.gid, mode: 0o40755 });
  }
});

test("what exists is not touched at all", async () => {
  using scratch = scratchDirectory();
  mkdirSync(`${scratch.path}/a`);
  using watch = watchDirectory(scratch.path);

  await makeParents(`${scratch.path}/a`, daemon);

  expect(watch.events()).toEqual([]);
});

test.for(["file", "file/below", "file/below/deep"])(
  "a file in the way of %s is named",
  async (path) => {
    using scratch = scratchDirectory();
    writeFileSync(`${scratch.path}/file`, "");

    await expect(makeParents(`${scratch.path}/${path}`, daemon)).rejects.toMatchObject({
      name: "AgentError",
      code: "internal",
      message: `path is a file: ${scratch.path}/file`,
    });
  },
);

test("links to directories are followed", async () => {
  using scratch = scratchDirectory();
  mkdirSync(`${scratch.path}/real`);
  symlinkSync("real", `${scratch.path}/link`);

  await makeParents(`${scratch.path}/link/a`, daemon);

  expect(statSync(`${scratch.path}/real/a`).isDirectory()).toBe(true);
});

test("dots, repeated and trailing slashes mean what the kernel says", async () => {
  using scratch = scratchDirectory();

  await makeParents(`${scratch.path}//a/./b/../c/`, daemon);

  expect(statSync(`${scratch.path}/a/b`).isDirectory()).toBe(true);
  expect(statSync(`${scratch.path}/a/c`).isDirectory()).toBe(true);
});

test("a link that leads nowhere, or in circles, is a failure with a cause", async () => {
  using scratch = scratchDirectory();
  symlinkSync("nowhere", `${scratch.path}/broken`);
  symlinkSync("loop", `${scratch.path}/loop`);

  for (const path of ["broken", "broken/a", "loop", "loop/a"]) {
    await expect(makeParents(`${scratch.path}/${path}`, daemon)).rejects.toMatchObject({
      name: "AgentError",
      code: "internal",
      cause: expect.any(Error),
    });
  }
});

test("many callers may make the same directory at once", async () => {
  using scratch = scratchDirectory();
  const path = `${scratch.path}/a/b/c/d`;

  await Promise.all(Array.from({ length: 20 }, () => makeParents(path, daemon)));

  expect(statSync(path).uid).toBe(daemon.uid);
});
