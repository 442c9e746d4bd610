import { appendFileSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeEach, expect, test, vi } from "vitest";
import { Users } from "../../../src/system/users.ts";

const directory = mkdtempSync(join(tmpdir(), "thaw-users-"));
const passwd = join(directory, "passwd");
const group = join(directory, "group");
let users: Users;

beforeEach(() => {
  writeFileSync(
    passwd,
    "root:x:0:0:root:/root:/bin/bash\n# a comment\nada:x:1000:100::/home/ada:/bin/sh\n",
  );
  writeFileSync(group, "root:x:0:\nusers:x:100:\nvideo:x:44:ada,bob\naudio:x:29:bob\n");
  users = new Users(passwd, group);
});
afterAll(() => rmSync(directory, { recursive: true }));

test("an account has its ids, its home and every group it is a member of, the primary first", () => {
  expect(users.find("ada")).toEqual({
    name: "ada",
    uid: 1000,
    gid: 100,
    home: "/home/ada",
    groups: [100, 44],
  });
  expect(users.find("root")).toMatchObject({ uid: 0, groups: [0] });
});

test("numbers, empty names and comments are no accounts", () => {
  for (const name of ["1000", "0", "", "#", "# a comment"])
    expect(users.find(name)).toBeUndefined();
});

test("an account that was just added is found at once, with its groups", () => {
  expect(users.find("bob")).toBeUndefined();
  appendFileSync(passwd, "bob:x:1001:100::/home/bob:/bin/sh\n");
  appendFileSync(group, "docker:x:999:bob\n");

  expect(users.find("bob")).toMatchObject({ uid: 1001, groups: [100, 44, 29, 999] });
});

test("what changes about a known account is seen soon", async () => {
  expect(users.find("ada")?.home).toBe("/home/ada");
  writeFileSync(passwd, "ada:x:1000:100::/srv/ada:/bin/sh\n");

  await vi.waitFor(() => expect(users.find("ada")?.home).toBe("/srv/ada"));
  expect(users.find("root")).toBeUndefined();
});

test("ids have names, or are told as they are", () => {
  expect([
    users.nameOf(1000),
    users.nameOf(7),
    users.groupNameOf(44),
    users.groupNameOf(7),
  ]).toEqual(["ada", "7", "video", "7"]);
});

test("a machine without the files has no accounts", () => {
  const none = new Users(join(directory, "no"), join(directory, "none"));

  expect(none.find("root")).toBeUndefined();
  expect(none.nameOf(0)).toBe("0");
});
