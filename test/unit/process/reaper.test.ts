import { execFileSync, spawn } from "node:child_process";
import { once } from "node:events";
import { readFileSync } from "node:fs";
import { afterEach, beforeEach, expect, test, vi } from "vitest";
import { Reaper } from "../../../src/process/reaper.ts";
import { callLibc } from "../../../src/system/libc.ts";

const PRCTL = "int prctl(int option, unsigned long value)";
const PR_SET_CHILD_SUBREAPER = 36;

// Orphans come to this process as they come to process 1.
beforeEach(() => {
  callLibc(PRCTL, PR_SET_CHILD_SUBREAPER, 1);
});
afterEach(() => {
  callLibc(PRCTL, PR_SET_CHILD_SUBREAPER, 0);
});

/** Leaves a program behind that ends after `seconds`. Returns its pid. */
function leaveOrphan(seconds: number): number {
  const script = `sleep ${seconds} >/dev/null 2>&1 & echo $!`;
  return Number(execFileSync("sh", ["-c", script], { encoding: "utf8" }));
}

/** Nothing of the event loop runs meanwhile. */
function holdLoop(ms: number): void {
  const until = performance.now() + ms;
  while (performance.now() < until);
}

const isZombie = (pid: number) => readFileSync(`/proc/${pid}/stat`, "utf8").includes(") Z ");
const isGone = (pid: number) => expect(() => process.kill(pid, 0)).toThrow("ESRCH");

test("process 1 buries orphans, however many", async () => {
  using _reaper = new Reaper(true);

  const orphans = Array.from({ length: 5 }, () => leaveOrphan(0.05));

  await vi.waitFor(() => orphans.forEach(isGone), { timeout: 4_000 });
});

test("another process leaves them alone", async () => {
  using _reaper = new Reaper(false);
  const orphan = leaveOrphan(0.05);

  await vi.waitFor(() => expect(isZombie(orphan)).toBe(true));
  const child = spawn("true");
  expect(await once(child, "exit")).toEqual([0, null]);

  expect(isZombie(orphan)).toBe(true);
  callLibc("int waitpid(int pid, void *status, int options)", orphan, null, 0);
});

test("process 1 takes nobody's child away from its owner, however busy it is", async () => {
  using _reaper = new Reaper(true);
  const orphan = leaveOrphan(0.05);
  await vi.waitFor(() => expect(isZombie(orphan)).toBe(true), { interval: 1 });

  const child = spawn("sleep", ["0.1"]);
  const exit = once(child, "exit");
  // After this the loop looks at timers before it looks at signals.
  setImmediate(() => holdLoop(1_500));

  expect(await exit).toEqual([0, null]);
  await vi.waitFor(() => isGone(orphan));
});
