import { readdirSync } from "node:fs";
import { describe, expect, test } from "vitest";
import { Cgroups } from "../../../src/system/cgroups.ts";
import { KillPen } from "../../../src/system/kill-pen.ts";
import { CgroupRoot, cgroup2Mount } from "../../helpers/cgroup-root.ts";

const log = { warn: () => {} };
const groupsIn = (root: CgroupRoot) =>
  readdirSync(root.path, { withFileTypes: true, recursive: true })
    .filter((entry) => entry.isDirectory())
    .map(({ name }) => name);

test("there are no pens where there are no groups", () => {
  expect(new Cgroups("/thaw/no/such", false, log).killPens()).toEqual([]);
});

if (cgroup2Mount === undefined) console.warn("skipped: no cgroup v2 hierarchy to write to");
describe.skipIf(cgroup2Mount === undefined)("a pen", () => {
  test("takes who is new in its parent, who then stands still", async () => {
    await using root = new CgroupRoot();
    const old = root.startIn("user");
    await using pen = new KillPen(`${root.path}/user`);
    const fresh = root.startIn("user");

    expect(pen.takeNew()).toEqual([fresh]);

    expect(pen.members()).toEqual([fresh]);
    expect(await pen.rest()).toBe(true);
    expect(root.read("user", "cgroup.procs")).toBe(String(old));
    expect(pen.takeNew()).toEqual([]);
  });

  test("kills all in it and nobody else", async () => {
    await using root = new CgroupRoot();
    const [one, other] = [root.startIn("user"), root.startIn("elsewhere")];
    await using pen = new KillPen(`${root.path}/user`);
    const neighbour = root.startIn("user");

    for (const pid of [one, other]) pen.take(pid);

    expect(pen.kill()).toBe(true);
    await expect.poll(() => pen.members()).toEqual([]);
    expect(root.read("user", "cgroup.procs")).toBe(String(neighbour));
  });

  test("lets those go on in its parent who are left in it", async () => {
    await using root = new CgroupRoot();
    const [released, left] = [root.startIn("user"), root.startIn("user")];
    {
      await using pen = new KillPen(`${root.path}/user`);
      for (const pid of [released, left]) pen.take(pid);
      pen.release(released);
      expect(pen.takeNew()).toEqual([]);
    }

    expect(root.read("user", "cgroup.procs").split("\n").map(Number)).toEqual(
      expect.arrayContaining([released, left]),
    );
    expect(root.isAtRest("user")).toBe(false);
    expect(groupsIn(root)).toEqual(["user"]);
  });

  test("never takes the agent or one that is gone", async () => {
    await using root = new CgroupRoot();
    root.make("user");
    await using pen = new KillPen(`${root.path}/user`);

    for (const pid of [process.pid, 2 ** 30]) pen.take(pid);

    expect(pen.members()).toEqual([]);
  });

  test("that an agent which died has left is removed at the next start", async () => {
    await using root = new CgroupRoot();
    const pid = root.startIn("user/kill-left");
    root.write("user/kill-left", "cgroup.freeze", "1");
    await expect.poll(() => root.isAtRest("user/kill-left")).toBe(true);

    new Cgroups(root.path, false, log).prepare();

    await expect.poll(() => groupsIn(root)).toEqual(["ptys", "socats", "user"]);
    expect(root.read("user", "cgroup.procs")).toBe(String(pid));
  });
});
