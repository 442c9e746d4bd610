import { spawn } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync, truncateSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { expect, test, vi } from "vitest";
import { Binary } from "../helpers/binary.ts";
import { NarrowSocket } from "../helpers/narrow-socket.ts";
import { ask, filesPath } from "../helpers/requests.ts";

const KIB = 1_024;
const isLong = process.env["THAW_LONG"] === "1";
const READERS = isLong ? 1_000 : 200;
/** What each may cost, in bytes, beside what any burst of work leaves on the heap for a while. */
const EACH_BYTES = 96 * KIB;
const HEAP_BYTES = 32 * KIB * KIB;

function residentBytes({ child }: Binary): number {
  return Number(readFileSync(`/proc/${child.pid}/statm`, "latin1").split(" ")[1]) * 4 * KIB;
}

test(`${READERS} stalled readers cost little beside one that reads, and nothing after`, async () => {
  const directory = mkdtempSync("/dev/shm/thaw-memory-");
  const large = join(directory, "large");
  writeFileSync(large, "");
  // Of holes, and more of them than are read meanwhile.
  truncateSync(large, 64 * 1024 * KIB * KIB);
  await using agent = await Binary.serve(["--no-token", "--stall-timeout", "4s"]);
  const port = Number(new URL(agent.url).port);
  const path = filesPath({ path: large });
  // A process of its own: this one is busy with opening sockets, and would look as if it stalled.
  const healthy = spawn("curl", ["-sS", "-o", "/dev/null", `${agent.url}${path}`]);
  const readBytes = () =>
    Number(/wchar: (\d+)/.exec(readFileSync(`/proc/${healthy.pid}/io`, "latin1"))?.[1]);
  await vi.waitFor(() => expect(readBytes()).toBeGreaterThan(64 * KIB * KIB), 10_000);
  const before = residentBytes(agent);

  const stalled = Array.from({ length: READERS }, () => {
    const socket = new NarrowSocket(port, 4 * KIB);
    socket.send(`GET ${path} HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n`);
    return socket;
  });
  await vi.waitFor(() => expect(stalled.every((one) => one.hasUnread)).toBe(true), 30_000);
  let highest = 0;
  const sample = () => (highest = Math.max(highest, residentBytes(agent)));
  await vi.waitFor(
    () => {
      sample();
      expect(stalled.some((one) => one.isOpen)).toBe(false);
    },
    { timeout: 40_000, interval: 50 },
  );
  for (const one of stalled) one[Symbol.dispose]();
  const read = readBytes();
  await vi.waitFor(() => expect(readBytes()).toBeGreaterThan(read), 10_000);
  healthy.kill();
  // What is garbage only is not held by anybody.
  await ask("h1", agent.url, { method: "POST", path: "/collapse" });
  await vi.waitFor(() => expect(residentBytes(agent)).toBeLessThan(before + HEAP_BYTES), 30_000);

  const each = (highest - before) / READERS / KIB;
  const left = (residentBytes(agent) - before) / KIB / KIB;
  console.log(`${each.toFixed(1)} KiB for each stalled reader, ${left.toFixed(1)} MiB left after`);
  rmSync(directory, { recursive: true });
  expect(highest - before).toBeLessThan(READERS * EACH_BYTES + HEAP_BYTES);
}, 120_000);
