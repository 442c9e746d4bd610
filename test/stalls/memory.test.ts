import { spawn } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync, truncateSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test, vi } from "vitest";
import { Binary } from "../helpers/binary.ts";
import { h2Request, PREFACE, settings } from "../helpers/h2-frames.ts";
import { NarrowSocket } from "../helpers/narrow-socket.ts";
import { ask, filesPath, type HttpVersion } from "../helpers/requests.ts";

const KIB = 1_024;
const MIB = KIB * KIB;
const isLong = process.env["THAW_LONG"] === "1";
const READERS = isLong ? 1_000 : 200;
/** Long enough that none is cut off before all are there. */
const STALL_MS = isLong ? 20_000 : 6_000;
/** What each may cost of the agent's memory, in bytes, and of the kernel's for it. */
const EACH_BYTES = 64 * KIB;
const EACH_UNSENT_BYTES = 192 * KIB;
/** What the buffers of one download at full rate make memory vary by. */
const VARIES_BYTES = 32 * MIB;
/** For how long the one that reads is watched alone, in ms. */
const ALONE_MS = isLong ? 10_000 : 2_000;

const directory = mkdtempSync("/dev/shm/thaw-memory-");
const large = join(directory, "large");
const path = filesPath({ path: large });
let agent: Binary;

beforeAll(async () => {
  writeFileSync(large, "");
  // Of holes, and more of them than are read meanwhile.
  truncateSync(large, 1024 * 1024 * MIB);
  agent = await Binary.serve(["--no-token", "--stall-timeout", `${STALL_MS}ms`]);
});
afterAll(async () => {
  await agent[Symbol.asyncDispose]();
  rmSync(directory, { recursive: true });
});

function residentBytes(): number {
  return Number(readFileSync(`/proc/${agent.child.pid}/statm`, "latin1").split(" ")[1]) * 4 * KIB;
}

/** What the kernel holds of what the agent has sent to `count` peers, in bytes, in all. */
function unsentBytes(port: number): number {
  const row = new RegExp(`: [0-9A-F]+:${port.toString(16).toUpperCase().padStart(4, "0")} .*`, "g");
  const rows = readFileSync("/proc/net/tcp", "latin1").match(row) ?? [];
  return rows
    .filter((text) => text.split(" ")[3] === "01")
    .reduce((sum, text) => sum + Number.parseInt(text.split(" ")[4]?.split(":")[0] ?? "0", 16), 0);
}

/** A process of its own: this one is busy with opening sockets, and would look as if it stalled. */
class Healthy implements Disposable {
  readonly #curl = spawn("curl", ["-sS", "-o", "/dev/null", `${agent.url}${path}`]);

  get readBytes(): number {
    const io = readFileSync(`/proc/${this.#curl.pid}/io`, "latin1");
    return Number(/wchar: (\d+)/.exec(io)?.[1]);
  }

  async reads(bytes: number): Promise<void> {
    const before = this.readBytes;
    const hasRead = () => expect(this.readBytes - before).toBeGreaterThan(bytes);
    await vi.waitFor(hasRead, 10_000);
  }

  [Symbol.dispose](): void {
    this.#curl.kill();
  }
}

/** Readers that ask for the file and then take nothing. */
function openStalled(version: HttpVersion, bufferBytes: number | undefined): NarrowSocket[] {
  const port = Number(new URL(agent.url).port);
  const fields = { ":method": "GET", ":path": path, ":authority": "127.0.0.1" };
  const request =
    version === "h1"
      ? `GET ${path} HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n`
      : Buffer.concat([PREFACE, settings([[4, 0x7fff_ffff]]), h2Request(1, fields)]);
  return Array.from({ length: READERS }, () => {
    const socket = new NarrowSocket(port, bufferBytes);
    socket.send(request);
    return socket;
  });
}

/** The most memory that is seen, in bytes, until `isOver`. */
async function highestUntil(isOver: () => boolean): Promise<number> {
  let highest = 0;
  await vi.waitFor(
    () => {
      highest = Math.max(highest, residentBytes());
      expect(isOver()).toBe(true);
    },
    { timeout: 4 * STALL_MS, interval: 50 },
  );
  return highest;
}

/** What the agent holds once what is garbage only is gone, in bytes. */
async function heldBytes(): Promise<number> {
  await ask("h1", agent.url, { method: "POST", path: "/collapse" });
  return residentBytes();
}

/** Opens a crowd, keeps it until all are cut off, and tells what it cost, in bytes. */
async function crowd(version: HttpVersion, bufferBytes: number | undefined) {
  const stalled = openStalled(version, bufferBytes);
  await vi.waitFor(() => expect(stalled.every(({ hasUnread }) => hasUnread)).toBe(true), 30_000);
  const first = residentBytes();
  const unsent = unsentBytes(Number(new URL(agent.url).port));
  const held = await heldBytes();
  // Else less than a crowd would have been measured.
  expect(stalled.every(({ isOpen }) => isOpen)).toBe(true);
  const later = await highestUntil(() => !stalled.some(({ isOpen }) => isOpen));
  for (const one of stalled) one[Symbol.dispose]();
  return { highest: Math.max(first, later), held, unsent };
}

describe(`${READERS} stalled readers beside one that reads`, () => {
  test.for([
    ["h1", 4 * KIB],
    ["h1", undefined],
    ["h2", 4 * KIB],
  ] as const)(
    "cost little, and nothing after: over %s with a receive buffer of %s",
    { timeout: 12 * STALL_MS },
    async ([version, bufferBytes]) => {
      using healthy = new Healthy();
      await healthy.reads(64 * MIB);
      // The code for it is compiled once, and its first crowd leaves it.
      await crowd(version, bufferBytes);
      const over = performance.now() + ALONE_MS;
      const highestAlone = await highestUntil(() => performance.now() > over);
      const heldAlone = await heldBytes();

      const { highest, held, unsent } = await crowd(version, bufferBytes);

      await healthy.reads(0);
      const left = (await heldBytes()) - heldAlone;
      const each = (bytes: number) => (bytes / READERS / KIB).toFixed(1);
      console.log(
        `${each(held - heldAlone)} KiB for each stalled reader, ${each(highest - highestAlone)} at ` +
          `the peak, ${each(unsent)} of the kernel's; ${(left / MIB).toFixed(1)} MiB left after`,
      );
      expect(left).toBeLessThan(VARIES_BYTES);
      expect(held - heldAlone).toBeLessThan(READERS * EACH_BYTES + (isLong ? 0 : VARIES_BYTES));
      expect(unsent).toBeLessThan(READERS * EACH_UNSENT_BYTES);
      // Of fewer, garbage would be counted rather than readers.
      if (isLong) expect(highest - highestAlone).toBeLessThan(READERS * EACH_BYTES);
    },
  );
});
