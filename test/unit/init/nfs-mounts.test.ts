import { existsSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, expect, test, vi } from "vitest";
import { NfsMounts } from "../../../src/init/nfs-mounts.ts";
import { createLog } from "../../../src/log.ts";
import { runCommand } from "../../../src/system/run-command.ts";
import { FakePrograms } from "../../helpers/fake-programs.ts";

const E2B_OPTIONS =
  "fg,hard,sync,rsize=1048576,wsize=1048576,mountproto=tcp,mountport=2049,proto=tcp,port=2049,nfsvers=3,noacl,noac,lookupcache=none";
const OPEN = new AbortController().signal;
const log = createLog("silent");

let directory: string;
let programs: FakePrograms;
let mounts: NfsMounts;
beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), "thaw-"));
  programs = new FakePrograms();
  programs.add("mount");
  programs.add("umount");
  programs.add("findmnt", "exit 1");
  mounts = new NfsMounts("e2b", runCommand, log);
});
afterEach(() => {
  programs[Symbol.dispose]();
  rmSync(directory, { recursive: true });
});

const volume = (name: string) => ({ target: `10.0.0.1:/${name}`, path: join(directory, name) });

test("a volume is mounted on a directory that is made for it", async () => {
  await mounts.mount([volume("deep/a")], "life", OPEN);

  const path = join(directory, "deep/a");
  expect(existsSync(path)).toBe(true);
  expect(programs.calls()).toEqual([
    `findmnt --noheadings --output SOURCE ${path}`,
    `mount -v -t nfs -o ${E2B_OPTIONS} 10.0.0.1:/deep/a ${path}`,
  ]);
});

test("the other dialect has its own options", async () => {
  await new NfsMounts("wrenn", runCommand, log).mount([volume("a")], "", OPEN);

  expect(programs.calls()).toContain(
    `mount -v -t nfs -o mountproto=tcp,mountport=2049,proto=tcp,port=2049,nfsvers=3,noacl 10.0.0.1:/a ${join(directory, "a")}`,
  );
});

test.for(["", "life"])("what the life %j has mounted is not mounted again", async (life) => {
  await mounts.mount([volume("a")], life, OPEN);
  programs.forget();

  await mounts.mount([volume("a")], life, OPEN);
  expect(programs.calls()).toEqual([]);

  await mounts.mount([volume("a"), volume("b")], life, OPEN);
  expect(programs.calls().filter((call) => call.startsWith("mount "))).toHaveLength(1);
});

test("another life mounts anew, over nothing that was there", async () => {
  await mounts.mount([volume("a")], "one", OPEN);
  programs.add("findmnt", "echo 10.0.0.1:/old");
  programs.forget();

  await mounts.mount([volume("a")], "two", OPEN);

  const path = join(directory, "a");
  expect(programs.calls()).toEqual([
    `findmnt --noheadings --output SOURCE ${path}`,
    `umount --force ${path}`,
    `mount -v -t nfs -o ${E2B_OPTIONS} 10.0.0.1:/a ${path}`,
  ]);
});

test("what cannot be taken away by force is taken away later", async () => {
  programs.add("findmnt", "echo 10.0.0.1:/old");
  programs.add("umount", 'test "$1" = --lazy');

  await mounts.mount([volume("a")], "life", OPEN);

  const path = join(directory, "a");
  expect(programs.calls().slice(1, 3)).toEqual([`umount --force ${path}`, `umount --lazy ${path}`]);
});

test("what cannot be taken away at all is a failure", async () => {
  programs.add("findmnt", "echo 10.0.0.1:/old");
  programs.add("umount", "echo busy >&2; exit 32");

  await expect(mounts.mount([volume("a")], "life", OPEN)).rejects.toMatchObject({
    code: "invalid",
    message: `mounting volumes: umount "${join(directory, "a")}": busy`,
  });
});

test("one that fails does not hold up the others, and is tried again", async () => {
  programs.add("mount", 'case "$*" in */bad) echo no such export >&2; exit 32;; esac');

  await expect(mounts.mount([volume("bad"), volume("good")], "life", OPEN)).rejects.toThrow(
    `mounting volumes: mount "${join(directory, "bad")}": no such export`,
  );
  programs.forget();
  programs.add("mount");
  await mounts.mount([volume("bad"), volume("good")], "life", OPEN);

  expect(programs.calls().filter((call) => call.startsWith("mount "))).toEqual([
    `mount -v -t nfs -o ${E2B_OPTIONS} 10.0.0.1:/bad ${join(directory, "bad")}`,
  ]);
});

test("while one pass is under way another does nothing", async () => {
  const gate = join(directory, "gate");
  programs.add("mount", `while ! test -e ${gate}; do sleep 0.01; done`);
  const first = mounts.mount([volume("a")], "life", OPEN);
  await vi.waitFor(() => expect(programs.calls().at(-1)).toMatch(/^mount /));

  await mounts.mount([volume("a"), volume("b")], "life", OPEN);
  expect(existsSync(join(directory, "b"))).toBe(false);

  writeFileSync(gate, "");
  await first;
});

test("closing ends a mount that hangs", async () => {
  programs.add("mount", "sleep 84.5");
  const closing = new AbortController();
  const pass = mounts.mount([volume("a")], "life", closing.signal);
  await vi.waitFor(() => expect(programs.calls().at(-1)).toMatch(/^mount /));

  closing.abort(new Error("the agent is shutting down"));

  await expect(pass).rejects.toThrow("the agent is shutting down");
});

test.for([
  { target: "10.0.0.1:/v", path: "relative" },
  { target: "10.0.0.1:/v", path: "" },
  { target: "10.0.0.1:/v", path: "/a\0b" },
  { target: "10.0.0.1:/v\0", path: "/thaw-none" },
  { target: "-o remount", path: "/thaw-none" },
  { target: "", path: "/thaw-none" },
])("%j is refused before anything runs", async (mount) => {
  await expect(mounts.mount([mount], "life", OPEN)).rejects.toMatchObject({ code: "invalid" });
  expect(programs.calls()).toEqual([]);
});

test("without findmnt volumes are mounted all the same", async () => {
  using alone = new FakePrograms({ keepsOthers: false });
  alone.add("mount");

  await mounts.mount([volume("a")], "life", OPEN);

  expect(alone.calls()).toHaveLength(1);
});

test("without mount it says what is missing", async () => {
  using _ = new FakePrograms({ keepsOthers: false });

  await expect(mounts.mount([volume("a")], "life", OPEN)).rejects.toThrow("spawn mount ENOENT");
});
