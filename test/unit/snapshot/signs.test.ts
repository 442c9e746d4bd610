import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { afterEach, beforeEach, expect, test, vi } from "vitest";
import type { Sign } from "../../../src/snapshot/participants.ts";
import { RestoreSigns } from "../../../src/snapshot/signs.ts";
import type { KernelLine } from "../../../src/system/kernel-log.ts";
import { randomText } from "../../../src/system/random.ts";
import { writeKernelLog } from "../../helpers/kernel-log.ts";
import { keepLog } from "../../helpers/log-lines.ts";
import { scratchDirectory } from "../../helpers/scratch.ts";

const FORK = "random: crng reseeded due to virtual machine fork";
const START_S = 1_800_000_000;

let directory: ReturnType<typeof scratchDirectory>;
let mark: string;
let signs: RestoreSigns;
let told: Sign[];
/** What it is outside. */
let outsideS: number;

beforeEach(() => {
  // Only what shows the time: what waits for the kernel's log waits in earnest.
  vi.useFakeTimers({ toFake: ["performance", "setInterval", "clearInterval"] });
  directory = scratchDirectory();
  mark = `thaw-test ${randomText(8)}`;
  mkdirSync(join(directory.path, "device"));
  count(0);
  outsideS = START_S;
  showClock(outsideS);
  told = [];
});

afterEach(() => {
  signs.close();
  directory[Symbol.dispose]();
  vi.useRealTimers();
});

/** Signs of a machine whose restores this test makes up. */
function start(overrides: { kernelLogPath?: string; isFork?: (line: KernelLine) => boolean } = {}) {
  signs = new RestoreSigns({
    log: keepLog().log,
    generationPaths: {
      device: join(directory.path, "device"),
      counter: join(directory.path, "gpe05"),
    },
    rtcPath: join(directory.path, "since_epoch"),
    isFork: ({ text }) => text === mark,
    ...overrides,
  });
  signs.onSign = (sign) => told.push(sign);
  signs.start();
}

const count = (number: number) =>
  writeFileSync(join(directory.path, "gpe05"), `${String(number).padStart(8)}  EN enabled\n`);
const showClock = (seconds: number) =>
  writeFileSync(join(directory.path, "since_epoch"), `${seconds}\n`);
const fork = () => writeKernelLog(mark);

/** Time that the machine lives through, and time that it does not. */
function pass(seconds: number, frozenS = 0): void {
  outsideS += seconds + frozenS;
  showClock(outsideS);
  vi.advanceTimersByTime(seconds * 1_000);
}

test("a machine that just runs shows no sign", () => {
  start();

  for (let second = 0; second < 60; second += 1) {
    pass(1);
    expect(signs.check()).toBeUndefined();
  }
});

test("a new generation is told by itself", async () => {
  start();

  fork();

  await vi.waitFor(() => expect(told).toEqual(["generation"]));
  expect(signs.check()).toBeUndefined();
});

test("a new generation is waited for when only its interrupt has come", () => {
  start();

  // So much else is in the log that one look does not reach the kernel's line.
  for (let number = 0; number < 140; number += 1) writeKernelLog(`${mark} ${number}`);
  fork();
  count(1);

  expect(signs.check()).toBe("generation");
});

test("a new generation that is looked for is told there, and nowhere else", async () => {
  start();

  fork();
  expect(signs.check()).toBe("generation");

  expect(signs.check()).toBeUndefined();
  await nextKernelLine();
  expect(told).toEqual([]);
});

test("log, counter and clock of one restore are one sign, whichever is seen first", async () => {
  start();

  for (let restore = 1; restore <= 3; restore += 1) {
    pass(10, 3_600);
    count(restore);
    fork();
    expect(signs.check()).toBe("generation");
    for (let look = 0; look < 5; look += 1) {
      pass(1);
      expect(signs.check()).toBeUndefined();
    }
  }

  pass(10, 3_600);
  count(4);
  fork();
  await vi.waitFor(() => expect(told).toEqual(["generation"]));
  pass(1);
  expect(signs.check()).toBeUndefined();
});

test("a clock that follows a moment after the generation is no sign of its own", () => {
  start();
  pass(10);
  fork();
  expect(signs.check()).toBe("generation");

  pass(1, 3_600);
  expect(signs.check()).toBeUndefined();

  pass(10, 3_600);
  expect(signs.check()).toBe("clock");
});

test("a machine that was loaded with its old id was not replaced for certain, and only once", () => {
  start();
  pass(10, 3_600);
  count(1);

  expect(signs.check()).toBe("clock");

  for (let look = 0; look < 5; look += 1) {
    expect(signs.check()).toBeUndefined();
    pass(1);
  }
});

test("where the kernel's log cannot be read the counter and the clock still tell", () => {
  start({ kernelLogPath: join(directory.path, "missing") });

  count(1);
  expect(signs.check()).toBe("clock");
  pass(1);
  expect(signs.check()).toBeUndefined();

  pass(1, 60);
  expect(signs.check()).toBe("clock");
  expect(signs.check()).toBeUndefined();
});

test("what happened before the start is no sign", async () => {
  count(7);
  fork();

  start();

  expect(signs.check()).toBeUndefined();
  await nextKernelLine();
  expect(told).toEqual([]);
});

test("a program cannot make up a generation", async () => {
  signs = new RestoreSigns({ log: keepLog().log });
  signs.onSign = (sign) => told.push(sign);
  signs.start();

  for (const priority of ["", "<0>", "<5>", "<6>"]) writeKernelLog(`${priority}${FORK}`);
  expect(signs.check()).toBeUndefined();
  await nextKernelLine();

  expect(told).toEqual([]);
});

test("the clock is looked at every 5 s, and only while it is watched", () => {
  start();
  expect(signs.awake).toBeUndefined();

  signs.watch(true);
  signs.watch(true);
  expect(signs.awake).toBe("snapshot: a look at the clock every 5000 ms");
  pass(5, 60);
  expect(told).toEqual(["clock"]);

  signs.watch(false);
  expect(signs.awake).toBeUndefined();
  pass(5, 60);
  expect(told).toEqual(["clock"]);
});

test("being asked to watch before the start is remembered", () => {
  signs = new RestoreSigns({
    log: keepLog().log,
    rtcPath: join(directory.path, "since_epoch"),
  });
  signs.watch(true);
  expect(signs.awake).toBeUndefined();

  signs.start();

  expect(signs.awake).toBeDefined();
});

test("a clock that was set on purpose is no sign", () => {
  start();
  pass(10);
  outsideS += 3_600;
  showClock(outsideS);

  signs.rebase();

  pass(10);
  expect(signs.check()).toBeUndefined();
});

test("a clock that is set back is no sign", () => {
  start();

  pass(10, -3_600);

  expect(signs.check()).toBeUndefined();
});

test("after closing nothing shows and nothing is awake", async () => {
  start();
  signs.watch(true);

  signs.close();
  signs.close();
  fork();
  count(1);

  expect(signs.check()).toBeUndefined();
  expect(signs.awake).toBeUndefined();
  await nextKernelLine();
  expect(told).toEqual([]);
});

/** Waits until the event loop has seen everything that is in the kernel's log by now. */
async function nextKernelLine(): Promise<void> {
  const last = `thaw-test ${randomText(8)}`;
  let hasCome = false;
  const witness = new RestoreSigns({
    log: keepLog().log,
    isFork: ({ text }) => text === last,
  });
  witness.onSign = () => {
    hasCome = true;
  };
  witness.start();
  writeKernelLog(last);
  try {
    await vi.waitFor(() => expect(hasCome).toBe(true));
  } finally {
    witness.close();
  }
}
