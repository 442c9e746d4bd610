import { cpus, freemem, totalmem } from "node:os";
import { expect, test } from "vitest";
import { busyPercent, Metrics, parseMemory, parseTicks } from "../../../src/system/metrics.ts";

const STAT = `cpu  100 20 30 800 50 1 2 3 40 5
cpu0 50 10 15 400 25 1 1 2 20 3
cpu1 50 10 15 400 25 0 1 1 20 2
intr 12345 0 0
ctxt 99
`;

test("processors and ticks are read from the kernel's text", () => {
  expect(parseTicks(STAT)).toEqual({ total: 1_006, idle: 850, cpuCount: 2 });
});

test.for([
  [{ total: 0, idle: 0 }, { total: 1_000, idle: 250 }, 75],
  [{ total: 1_000, idle: 250 }, { total: 1_000, idle: 250 }, 0],
  [{ total: 1_000, idle: 250 }, { total: 1_300, idle: 350 }, 66.67],
  [{ total: 1_000, idle: 250 }, { total: 1_100, idle: 249 }, 100],
  [{ total: 1_000, idle: 250 }, { total: 900, idle: 100 }, 0],
  [{ total: 1_000, idle: 250 }, { total: 1_100, idle: 351 }, 0],
] as const)("from %j to %j is %d percent", ([before, now, percent]) => {
  expect(busyPercent({ ...before, cpuCount: 1 }, { ...now, cpuCount: 1 })).toBe(percent);
});

test("memory is read from the kernel's text", () => {
  const text = "MemTotal:  1000 kB\nMemFree: 100 kB\nMemAvailable: 400 kB\nCached: 250 kB\n";

  expect(parseMemory(text)).toEqual({
    memoryTotal: 1_024_000,
    memoryUsed: 614_400,
    memoryCache: 256_000,
  });
});

test("the machine's own figures make sense", () => {
  const usage = new Metrics().read();

  expect(usage.cpuCount).toBe(cpus().length);
  expect(usage.memoryTotal).toBe(totalmem());
  expect(usage.memoryUsed).toBeLessThan(totalmem());
  expect(Math.abs(usage.memoryUsed - (totalmem() - freemem()))).toBeLessThan(totalmem() / 10);
  expect(usage.diskUsed).toBeGreaterThan(0);
  expect(usage.diskUsed).toBeLessThanOrEqual(usage.diskTotal);
});

test("busy processors are seen between two readings", () => {
  const metrics = new Metrics();
  metrics.read();
  const end = Date.now() + 200;
  while (Date.now() < end);

  // One busy processor of all there are, less what a tick may hide.
  expect(metrics.read().cpuUsedPercent).toBeGreaterThan(50 / cpus().length);
});
