import { closeSync, mkdtempSync, openSync, readdirSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { pino } from "pino";
import { afterEach, beforeEach, expect, test, vi } from "vitest";
import { defaultConfig } from "../../../src/config.ts";
import { DEFAULT_LOG_BYTES } from "../../../src/process/output-log.ts";
import { ProcessRegistry } from "../../../src/process/registry.ts";
import type { StartOptions } from "../../../src/process/start-options.ts";
import type { Viewer } from "../../../src/process/viewer.ts";
import { OomWatch } from "../../../src/system/oom-watch.ts";
import { Users } from "../../../src/system/users.ts";

const { spawnHelper } = defaultConfig("envd");
const user = new Users().find("root");
/** The next program gets the pid after the one written here. */
const LAST_PID = "/proc/sys/kernel/ns_last_pid";
let directory: string;
let registries: ProcessRegistry[];

beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), "thaw-registry-"));
  registries = [];
});
afterEach(async () => {
  await Promise.all(registries.map((registry) => registry.close(100)));
  rmSync(directory, { recursive: true });
});

function registry(helper = spawnHelper): ProcessRegistry {
  const made = new ProcessRegistry({
    spawnHelper: helper,
    cgroupProcs: () => undefined,
    oomWatch: new OomWatch(pino({ enabled: false })),
    killPens: () => [],
    windowWatch: { note: () => {}, forget: () => {} },
  });
  registries.push(made);
  return made;
}

/** A helper that never becomes the command, as in a cgroup that is frozen. */
function frozenHelper(): string {
  const path = join(directory, "helper");
  writeFileSync(path, "#!/bin/sh\nexec sleep 100\n", { mode: 0o755 });
  return path;
}

function shell(script: string, options: Partial<StartOptions> = {}): StartOptions {
  if (user === undefined) throw new Error("there is no root here");
  return {
    config: { cmd: "sh", args: ["-c", script], envs: {}, cwd: undefined },
    tag: undefined,
    user,
    cwd: "/",
    environment: { PATH: process.env["PATH"] ?? "" },
    pty: undefined,
    hasStdin: false,
    lifetimeMs: undefined,
    log: { capacityBytes: DEFAULT_LOG_BYTES, whenFull: "drop-oldest" },
    view: { withOffsets: false, windowBytes: 0, endsAtExit: false, isBystander: false },
    key: undefined,
    ...options,
  };
}

/** Reads until `isEnough` of what has been written. */
async function read(viewer: Viewer, isEnough: (text: string) => boolean): Promise<string> {
  let text = "";
  await vi.waitFor(() => {
    for (let event = viewer.next(); event !== undefined; event = viewer.next()) {
      if (event.kind === "output") text += event.output.bytes.toString();
    }
    expect(isEnough(text)).toBe(true);
  });
  return text;
}

function isWritable(path: string): boolean {
  try {
    closeSync(openSync(path, "w"));
    return true;
  } catch {
    return false;
  }
}

const openFiles = () => readdirSync("/proc/self/fd").length;

test("a start that runs out of descriptors says so and takes none with it", async () => {
  const processes = registry();
  const taken: number[] = [];
  const takeAll = () => {
    try {
      for (;;) taken.push(openSync("/dev/null", "r"));
    } catch {
      // None is left.
    }
  };
  const { limitFiles } = await import("../../helpers/limit-files.ts");
  using _limit = limitFiles(openFiles() + 40);

  for (let free = 0; free <= 6; free++) {
    takeAll();
    for (const fd of taken.splice(-free, free)) closeSync(fd);
    const before = taken.length;
    await expect(processes.start(shell("true"))).rejects.toThrow(/too many open files|EMFILE/);
    takeAll();
    expect(taken.length - before, `${free} free`).toBe(free);
  }

  for (const fd of taken) closeSync(fd);
});

// Containers often may not choose pids.
test.skipIf(!isWritable(LAST_PID))(
  "a new program with the pid of one that left its pipes to others is found beside it",
  async () => {
    const processes = registry();
    const first = await processes.start(shell("sleep 100 & echo $!"));
    const child = Number(await read(first.viewer, (text) => text.endsWith("\n")));
    await vi.waitFor(() => expect(() => process.kill(first.process.pid, 0)).toThrow("ESRCH"));

    let second = first;
    for (let tries = 0; tries < 100; tries++) {
      writeFileSync(LAST_PID, String(first.process.pid - 1));
      second = await processes.start(shell("exec sleep 100"));
      if (second.process.pid === first.process.pid) break;
      second.process.signal(9);
    }
    expect(second.process.pid).toBe(first.process.pid);
    expect(processes.list()).toEqual([first.process, second.process]);
    process.kill(child, "SIGKILL");
    await vi.waitFor(() => expect(first.viewer.next()?.kind).toBe("end"));

    expect(processes.list()).toEqual([second.process]);
    expect(processes.get({ pid: first.process.pid })).toBe(second.process);
  },
);

test("a closing registry also ends what is only just being started", async () => {
  const processes = registry();
  const starting = processes.start(shell("exec sleep 100"));

  await processes.close(1_000);

  const { process: started } = await starting;
  expect(() => process.kill(started.pid, 0)).toThrow("ESRCH");
});

test("a program whose cgroup is frozen is killed at its deadline, and its start is answered", async () => {
  const processes = registry(frozenHelper());

  const { viewer } = await processes.start(shell("echo never", { lifetimeMs: 100 }));

  expect(viewer.next()?.kind).toBe("start");
  expect(() => viewer.next()).toThrow("its time of 100 ms is over");
  await vi.waitFor(() => expect(processes.list()).toEqual([]));
});

test("who writes to a program that has ended is told, even when a child of it holds its stdin", async () => {
  const processes = registry();
  const script = "exec 3<&0; sleep 100 <&3 & echo $!; wait";
  const { process: program, viewer } = await processes.start(shell(script, { hasStdin: true }));
  const child = Number(await read(viewer, (text) => text.endsWith("\n")));
  const writing = program.input.writeStdin(Buffer.alloc(1 << 20), new AbortController().signal);

  program.signal(9);

  await expect(writing).rejects.toThrow("error writing to stdin");
  process.kill(child, "SIGKILL");
});

test("a start that failed can be repeated with its key", async () => {
  const processes = registry();
  const missing = shell("true", { cwd: join(directory, "missing"), key: "k" });
  await expect(processes.start(missing)).rejects.toThrow("does not exist");

  const { viewer } = await processes.start(shell("echo ran", { key: "k" }));

  expect(await read(viewer, (text) => text === "ran\n")).toBe("ran\n");
});

test("two starts with one key at the same time fail as one, and give the key back", async () => {
  const processes = registry();
  const missing = shell("true", { cwd: join(directory, "missing"), key: "k" });

  const both = await Promise.allSettled([processes.start(missing), processes.start(missing)]);

  expect(both.map(({ status }) => status)).toEqual(["rejected", "rejected"]);
  const { viewer } = await processes.start(shell("echo ran", { key: "k" }));
  expect(await read(viewer, (text) => text === "ran\n")).toBe("ran\n");
  expect(processes.ended().length).toBeLessThanOrEqual(1);
});

test("two starts with one key at the same time run one process", async () => {
  const processes = registry();
  const options = shell("sleep 100", { key: "k" });

  const [first, second] = await Promise.all([processes.start(options), processes.start(options)]);

  expect(second.process).toBe(first.process);
  expect(processes.list()).toEqual([first.process]);
  first.process.signal(9);
});
