import { mkdtempSync, readdirSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { Cgroups, groupProperties } from "../../../src/system/cgroups.ts";
import { CgroupRoot, cgroup2Mount } from "../../helpers/cgroup-root.ts";

const GIB = 1024 ** 3;
const warnings: string[] = [];
const log = { warn: (_: object, message: string) => void warnings.push(message) };

beforeEach(() => void warnings.splice(0));
afterEach(() => expect(warnings).toEqual([]));

test.for([
  [16 * GIB, 16 * GIB - 128 * 1024 * 1024],
  [GIB, GIB - 128 * 1024 * 1024],
  [512 * 1024 * 1024, 448 * 1024 * 1024],
])("of %d bytes the workload gets %d", ([total, limit]) => {
  const { user, ptys, socats } = groupProperties(total as number);

  expect(user).toEqual({
    "cpu.weight": "50",
    "io.weight": "default 10",
    "memory.high": String(limit),
    "memory.max": String(limit),
  });
  expect(ptys).toEqual({
    "cpu.weight": "200",
    "io.weight": "default 50",
    "memory.high": String(limit),
    "memory.max": String(limit),
  });
  expect(socats).toEqual({
    "cpu.weight": "150",
    "io.weight": "default 50",
    "memory.min": "5242880",
    "memory.low": "8388608",
  });
});

test("a directory that is no cgroup hierarchy is left alone", () => {
  const directory = mkdtempSync(join(tmpdir(), "thaw-"));
  const cgroups = new Cgroups(directory, false, log);

  cgroups.prepare();

  expect(cgroups.isAvailable).toBe(false);
  expect(cgroups.procsFile("user")).toBeUndefined();
  expect(readdirSync(directory)).toEqual([]);
  rmSync(directory, { recursive: true });
});

test("a root that does not exist means that there are no groups", () => {
  const cgroups = new Cgroups("/thaw/no/such", false, log);

  cgroups.prepare();

  expect(cgroups.isAvailable).toBe(false);
});

describe.skipIf(cgroup2Mount === undefined)("with a cgroup v2 hierarchy", () => {
  test("the three groups are made and take processes", async () => {
    await using root = new CgroupRoot();
    const cgroups = new Cgroups(root.path, false, log);

    expect(cgroups.procsFile("user")).toBeUndefined();
    cgroups.prepare();

    expect(cgroups.isAvailable).toBe(true);
    for (const kind of ["user", "ptys", "socats"] as const) {
      const pid = root.startIn(kind);
      expect(cgroups.procsFile(kind)).toBe(join(root.path, kind, "cgroup.procs"));
      expect(root.read(kind, "cgroup.procs")).toBe(String(pid));
    }
  });

  test("preparing twice changes nothing", async () => {
    await using root = new CgroupRoot();
    new Cgroups(root.path, false, log).prepare();
    const pid = root.startIn("user");
    const again = new Cgroups(root.path, false, log);

    again.prepare();

    expect(again.procsFile("user")).toBeDefined();
    expect(root.read("user", "cgroup.procs")).toBe(String(pid));
  });

  test("switched off, nothing is made", async () => {
    await using root = new CgroupRoot();
    const cgroups = new Cgroups(root.path, true, log);

    cgroups.prepare();

    expect(cgroups.isAvailable).toBe(false);
    expect(() => root.read("user", "cgroup.procs")).toThrow("ENOENT");
  });

  test("what a dead agent left frozen is thawed", async () => {
    await using root = new CgroupRoot();
    root.startIn("user");
    root.write("user", "cgroup.freeze", "1");
    await expect.poll(() => root.isAtRest("user")).toBe(true);

    new Cgroups(root.path, false, log).prepare();

    await expect.poll(() => root.isAtRest("user")).toBe(false);
  });
});
