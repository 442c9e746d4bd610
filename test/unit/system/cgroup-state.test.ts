import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect, test } from "vitest";
import { oomKills } from "../../../src/system/cgroup-state.ts";

test("kills for want of memory are counted where the kernel counts them", () => {
  const group = mkdtempSync(join(tmpdir(), "thaw-group-"));
  try {
    expect(oomKills(group)).toBeUndefined();
    const events = "low 0\nhigh 12\nmax 7\noom 4\noom_kill 3\noom_group_kill 0\n";
    writeFileSync(join(group, "memory.events"), events);
    expect(oomKills(group)).toBe(3);
  } finally {
    rmSync(group, { recursive: true });
  }
});
