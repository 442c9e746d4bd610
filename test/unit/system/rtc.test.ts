import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { afterEach, beforeEach, expect, test, vi } from "vitest";
import { Rtc } from "../../../src/system/rtc.ts";
import { scratchDirectory } from "../../helpers/scratch.ts";

const START_S = 1_800_000_000;

let directory: ReturnType<typeof scratchDirectory>;
let path: string;

beforeEach(() => {
  vi.useFakeTimers({ toFake: ["performance"] });
  directory = scratchDirectory();
  path = join(directory.path, "since_epoch");
  show(START_S);
});

afterEach(() => {
  vi.useRealTimers();
  directory[Symbol.dispose]();
});

const show = (seconds: number) => writeFileSync(path, `${seconds}\n`);

/** Both clocks run on. */
function pass(ms: number): void {
  vi.advanceTimersByTime(ms);
}

test("a machine without such a clock has no leaps", () => {
  using rtc = new Rtc(join(directory.path, "missing"));

  rtc.rebase();

  expect(rtc.exists).toBe(false);
  expect(rtc.leapMs()).toBeUndefined();
});

test("a clock that is wrong by years but runs does not leap", () => {
  using rtc = new Rtc(path);
  expect(rtc.leapMs()).toBe(0);

  for (let second = 1; second <= 100; second += 1) {
    pass(1_000);
    show(START_S + second);
    expect(rtc.leapMs()).toBe(0);
  }
});

test("what the machine slept through is a leap, once", () => {
  using rtc = new Rtc(path);
  rtc.rebase();

  pass(1_000);
  show(START_S + 61);

  expect(rtc.leapMs()).toBeCloseTo(60_000, -1);
  pass(1_000);
  show(START_S + 62);
  expect(rtc.leapMs()).toBe(0);
});

test("within 200 ms of a look nothing is read, and the leap is found afterwards", () => {
  using rtc = new Rtc(path);
  rtc.rebase();
  show(START_S + 60);

  pass(199);
  expect(rtc.leapMs()).toBe(0);
  pass(1);

  expect(rtc.leapMs()).toBeGreaterThan(59_000);
});

test("a clock that was set on purpose is taken for right", () => {
  using rtc = new Rtc(path);
  rtc.rebase();
  show(START_S - 3_600);
  pass(1_000);

  rtc.rebase();
  pass(1_000);
  show(START_S - 3_599);

  expect(rtc.leapMs()).toBe(0);
});

test("a clock that was set back leaps back", () => {
  using rtc = new Rtc(path);
  rtc.rebase();

  pass(1_000);
  show(START_S - 60);

  expect(rtc.leapMs()).toBeCloseTo(-61_000, -1);
});

test("clocks that drift apart over a day do not leap", () => {
  using rtc = new Rtc(path);
  rtc.rebase();

  pass(86_400_000);
  show(START_S + 86_400 + 40);

  expect(rtc.leapMs()).toBe(0);
});

test("a clock that stops to answer leaps neither then nor when it is back", () => {
  using rtc = new Rtc(path);
  rtc.rebase();

  pass(1_000);
  writeFileSync(path, "");
  expect(rtc.leapMs()).toBe(0);
  pass(1_000);
  show(START_S + 2);

  expect(rtc.leapMs()).toBe(0);
});
