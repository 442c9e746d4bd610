import { afterEach, beforeEach, expect, test, vi } from "vitest";
import { startTimer } from "../../../src/lib/timer.ts";

beforeEach(() => {
  vi.useFakeTimers();
});
afterEach(() => {
  vi.useRealTimers();
});

test.for([2, 90_000, 2 ** 31 - 1, 2 ** 31, 9_999_999_999])("acts once after %i ms", (ms) => {
  const act = vi.fn();
  startTimer(ms, act);

  vi.advanceTimersByTime(Math.max(0, ms - 1));
  expect(act).toHaveBeenCalledTimes(0);
  vi.advanceTimersByTime(1);
  expect(act).toHaveBeenCalledTimes(1);
  vi.advanceTimersByTime(2 ** 31);
  expect(act).toHaveBeenCalledTimes(1);
});

test("a disposed timer never acts", () => {
  const act = vi.fn();
  const timer = startTimer(5_000_000_000, act);
  vi.advanceTimersByTime(4_000_000_000);

  timer[Symbol.dispose]();
  vi.advanceTimersByTime(4_000_000_000);

  expect(act).not.toHaveBeenCalled();
});
