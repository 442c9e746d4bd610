import { afterEach, expect, test } from "vitest";
import { describeExit } from "../../../src/process/exit.ts";
import { OutputLog } from "../../../src/process/output-log.ts";
import { type EndedProcess, Retention } from "../../../src/process/retention.ts";

const MIB = 1024 * 1024;
const log = { capacityBytes: MIB, whenFull: "drop-oldest" } as const;
const retention = new Retention();

afterEach(() => retention[Symbol.dispose]());

/** A process that has ended, with a command and an output of so many bytes. */
function ended(pid: number, { command = 1, output = 0 } = {}): EndedProcess {
  const kept = new OutputLog(log);
  for (let written = 0; written < output; written += 32_768) {
    kept.append("stdout", new Uint8Array(32_768));
  }
  return {
    pid,
    config: { cmd: "c".repeat(command), args: [], envs: {}, cwd: undefined },
    tag: undefined,
    mark: "1",
    log,
    user: "root",
    hasTerminal: false,
    startedAt: new Date(),
    end: describeExit(0),
    facts: {} as EndedProcess["facts"],
    output: kept,
  };
}

const pids = () => retention.list().map(({ pid }) => pid);

test("the latest 10,000 ends are kept", () => {
  for (let pid = 1; pid <= 10_002; pid += 1) retention.add(ended(pid));

  expect(pids().length).toBe(10_000);
  expect(pids()[0]).toBe(3);
});

test("of large commands fewer are kept, so that together they take 64 MiB", () => {
  for (let pid = 1; pid <= 100; pid += 1) retention.add(ended(pid, { command: MIB }));
  expect(pids().length).toBe(64);
  expect(pids()[0]).toBe(37);

  retention.replace(50, undefined);
  retention.add(ended(101, { command: MIB }));
  expect(pids().length).toBe(64);
});

test("logs take 64 MiB together: the oldest are emptied, their ends stay", () => {
  for (let pid = 1; pid <= 100; pid += 1) retention.add(ended(pid, { output: MIB }));

  const stored = retention.list().map(({ output }) => output.storedBytes);
  expect(stored.length).toBe(100);
  expect(stored.filter((bytes) => bytes === 0).length).toBe(36);
  expect(stored.slice(0, 36)).toEqual(stored.slice(0, 36).fill(0));
});
