import { readFileSync, rmdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, test, vi } from "vitest";
import { Cgroups } from "../../../src/system/cgroups.ts";
import { WorkloadFreezer } from "../../../src/system/workload-freezer.ts";
import { CgroupRoot, cgroup2Mount } from "../../helpers/cgroup-root.ts";

const log = { warn: () => {} };

/** A freezer over fresh groups. */
function freezerOver(root: CgroupRoot): WorkloadFreezer {
  const cgroups = new Cgroups(root.path, false, log);
  cgroups.prepare();
  return new WorkloadFreezer(cgroups, log);
}

test("without groups there is nothing to freeze", async () => {
  const freezer = new WorkloadFreezer(new Cgroups("/thaw/no/such", false, log), log);

  const result = await freezer.freeze({ mode: "hierarchy", maxWaitMs: 1_000 });

  expect(result).toMatchObject({ visited: 0, requested: 0, frozen: 0, waitMs: 0 });
  expect(freezer.isFrozen).toBe(false);
  expect(freezer.audit()).toBeUndefined();
  await freezer.thaw();
});

describe.skipIf(cgroup2Mount === undefined)("with a cgroup v2 hierarchy", () => {
  let root: CgroupRoot;
  let freezer: WorkloadFreezer;

  beforeEach(() => {
    root = new CgroupRoot();
    freezer = freezerOver(root);
  });

  afterEach(async () => {
    await freezer.close();
    await root[Symbol.asyncDispose]();
  });

  test("legacy freezes programs and terminals, and waits until they are at rest", async () => {
    for (const name of ["user", "ptys", "socats", "other"]) root.startIn(name);

    const result = await freezer.freeze({ mode: "legacy", maxWaitMs: 2_000 });

    expect(result).toMatchObject({
      mode: "legacy",
      visited: 2,
      requested: 2,
      frozen: 2,
      notFrozen: 0,
      failed: 0,
      preFrozen: 0,
      allowlisted: 0,
      unobservable: 0,
      truncated: false,
    });
    expect(root.isAtRest("user")).toBe(true);
    expect(root.isAtRest("ptys")).toBe(true);
    expect(root.read("socats", "cgroup.freeze")).toBe("0");
    expect(root.read("other", "cgroup.freeze")).toBe("0");
    expect(freezer.isFrozen).toBe(true);
  });

  test("a thaw lets all go on, and a second one finds nothing to do", async () => {
    root.startIn("user");
    await freezer.freeze({ mode: "legacy", maxWaitMs: 2_000 });

    await freezer.thaw();
    await freezer.thaw();

    expect(freezer.isFrozen).toBe(false);
    expect(root.read("user", "cgroup.freeze")).toBe("0");
    await expect.poll(() => root.isAtRest("user")).toBe(false);
  });

  test("hierarchy freezes all but what must go on", async () => {
    const groups = [
      "user",
      "init.scope",
      "system.slice/cron.service",
      "system.slice/rpcbind.service",
      "system.slice/systemd-journald.service/sub",
      "docker/abc",
      "socats",
    ];
    for (const name of groups) root.startIn(name);

    const result = await freezer.freeze({ mode: "hierarchy", maxWaitMs: 2_000 });

    // user, ptys, cron.service and docker; init.scope, socats, rpcbind and journald.
    expect(result).toMatchObject({ visited: 8, requested: 4, frozen: 4, allowlisted: 4 });
    expect(groups.filter((name) => root.isAtRest(name))).toEqual([
      "user",
      "system.slice/cron.service",
      "docker/abc",
    ]);
    expect(root.read("system.slice", "cgroup.freeze")).toBe("0");

    await freezer.thaw();
    await expect.poll(() => groups.filter((name) => root.isAtRest(name))).toEqual([]);
  });

  test("what the guest has frozen itself stays frozen after a thaw", async () => {
    root.startIn("docker");
    root.write("docker", "cgroup.freeze", "1");

    const result = await freezer.freeze({ mode: "hierarchy", maxWaitMs: 2_000 });
    await freezer.thaw();

    expect(result).toMatchObject({ preFrozen: 1, requested: 2, frozen: 2 });
    expect(root.read("docker", "cgroup.freeze")).toBe("1");
  });

  test("no more groups are looked at than allowed", async () => {
    for (let number = 0; number < 20; number += 1) root.make(`group-${number}`);

    const result = await freezer.freeze({ mode: "hierarchy", maxGroups: 5 });

    expect(result.visited).toBe(5);
    expect(result.truncated).toBe(true);
    expect(freezer.audit()).toMatchObject({ visited: 5, truncated: true });
  });

  test.for([0, -3, undefined])("a limit of %s groups is the default", async (maxGroups) => {
    const result = await freezer.freeze({ mode: "hierarchy", maxGroups });

    expect(result).toMatchObject({ truncated: false, requested: 2 });
  });

  test("the audit tells who escaped and who should not have been stopped", async () => {
    root.startIn("user/nested");
    root.startIn("init.scope");
    root.startIn("docker");
    await freezer.freeze({ mode: "hierarchy", maxWaitMs: 2_000 });
    expect(freezer.audit()).toEqual({
      visited: 6,
      frozen: 4,
      escaped: 0,
      violations: 0,
      truncated: false,
    });

    root.startIn("late");
    root.write("init.scope", "cgroup.freeze", "1");
    await expect.poll(() => root.isAtRest("init.scope")).toBe(true);

    expect(freezer.audit()).toEqual({
      visited: 7,
      frozen: 5,
      escaped: 1,
      violations: 1,
      truncated: false,
    });
  });

  test("after a legacy freeze the audit looks at what that was to freeze", async () => {
    root.startIn("other");
    await freezer.freeze({ mode: "legacy", maxWaitMs: 2_000 });

    expect(freezer.audit()).toMatchObject({ visited: 2, frozen: 2, escaped: 0 });
  });

  test("a second freeze takes over the groups of the first", async () => {
    root.make("docker");
    await freezer.freeze({ mode: "hierarchy", maxWaitMs: 2_000 });
    const again = await freezer.freeze({ mode: "legacy", maxWaitMs: 2_000 });

    expect(again).toMatchObject({ requested: 2, preFrozen: 0 });
    await freezer.thaw();
    expect(root.read("docker", "cgroup.freeze")).toBe("0");
    expect(root.read("user", "cgroup.freeze")).toBe("0");
  });

  test("a group that is removed while frozen does not stop the thaw", async () => {
    const group = root.make("docker");
    root.startIn("user");
    await freezer.freeze({ mode: "hierarchy", maxWaitMs: 2_000 });
    rmdirSync(group);

    await freezer.thaw();

    expect(root.read("user", "cgroup.freeze")).toBe("0");
  });

  test("a caller who has left freezes nothing", async () => {
    const gone = AbortSignal.abort(new Error("gone"));

    await expect(freezer.freeze({ mode: "legacy", signal: gone })).rejects.toThrow("gone");
    expect(freezer.isFrozen).toBe(false);
  });

  test("the agent's own group is never frozen", async () => {
    const before = readFileSync("/proc/self/cgroup", "utf8");
    root.startIn("user");
    writeFileSync(join(root.path, "user", "cgroup.procs"), String(process.pid));
    try {
      const result = await freezer.freeze({ mode: "hierarchy", maxWaitMs: 50 });

      expect(result).toMatchObject({ failed: 1, requested: 1 });
      expect(root.read("user", "cgroup.freeze")).toBe("0");
      expect(root.read("ptys", "cgroup.freeze")).toBe("1");
    } finally {
      const own = /^0::(.*)$/m.exec(before)?.[1] as string;
      writeFileSync(join(cgroup2Mount as string, own, "cgroup.procs"), String(process.pid));
    }
  });

  test("a freeze that nobody undoes is undone after ten minutes", async () => {
    vi.useFakeTimers({ toFake: ["setTimeout", "clearTimeout"] });
    try {
      await freezer.freeze({ mode: "legacy" });
      vi.advanceTimersByTime(10 * 60 * 1_000 - 1);
      expect(freezer.isFrozen).toBe(true);

      vi.advanceTimersByTime(1);
    } finally {
      vi.useRealTimers();
    }
    await expect.poll(() => freezer.isFrozen).toBe(false);
    expect(root.read("user", "cgroup.freeze")).toBe("0");
  });

  test("a freeze has its ten minutes whatever was frozen before it", async () => {
    vi.useFakeTimers({ toFake: ["setTimeout", "clearTimeout"] });
    try {
      await freezer.freeze({ mode: "legacy" });
      vi.advanceTimersByTime(9 * 60 * 1_000);
      await freezer.thaw();
      expect(vi.getTimerCount()).toBe(0);
      await freezer.freeze({ mode: "legacy" });
      vi.advanceTimersByTime(9 * 60 * 1_000);
    } finally {
      vi.useRealTimers();
    }
    expect(freezer.isFrozen).toBe(true);
    await freezer.thaw();
  });
});
