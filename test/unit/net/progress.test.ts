import { afterEach, beforeEach, describe, expect, test, vi } from "vitest";
import { StallWatch, type Watched } from "../../../src/net/progress.ts";

const STALL_MS = 10_000;

beforeEach(() => {
  vi.useFakeTimers();
});
afterEach(() => {
  vi.useRealTimers();
});

interface Peer extends Watched {
  waiting: boolean;
  bytes: number;
  stalls: number;
}

function peer(): Peer {
  const one: Peer = {
    waiting: true,
    bytes: 0,
    stalls: 0,
    isWaiting: () => one.waiting,
    taken: () => one.bytes,
    onStall: () => {
      one.stalls += 1;
    },
  };
  return one;
}

test("a peer that takes nothing stalls once, at the stall time", () => {
  const watch = new StallWatch({ stallMs: STALL_MS });
  const stopped = peer();
  watch.note(stopped);

  vi.advanceTimersByTime(STALL_MS - 1);
  expect(stopped.stalls).toBe(0);
  vi.advanceTimersByTime(STALL_MS / 10 + 1);
  expect(stopped.stalls).toBe(1);
  vi.advanceTimersByTime(10 * STALL_MS);
  expect(stopped.stalls).toBe(1);
});

test("a peer that takes one byte in every stall time never stalls", () => {
  const watch = new StallWatch({ stallMs: STALL_MS });
  const slow = peer();
  watch.note(slow);

  for (let round = 0; round < 1_000; round++) {
    vi.advanceTimersByTime(STALL_MS * 0.8);
    slow.bytes += 1;
    watch.note(slow);
  }

  expect(slow.stalls).toBe(0);
});

test("a peer is not charged with the time that the machine stood still", () => {
  let standstillMs = 0;
  const watch = new StallWatch({ stallMs: STALL_MS, now: () => performance.now() + standstillMs });
  const live = peer();
  watch.note(live);
  vi.advanceTimersByTime(STALL_MS / 2);
  standstillMs = 60 * STALL_MS;

  vi.advanceTimersByTime(STALL_MS / 4);
  expect(live.stalls).toBe(0);
  vi.advanceTimersByTime(STALL_MS / 2);
  expect(live.stalls).toBe(1);
});

test("writing to a stopped peer is not progress", () => {
  const watch = new StallWatch({ stallMs: STALL_MS });
  const stopped = peer();

  for (let round = 0; round < 12; round++) {
    watch.note(stopped);
    vi.advanceTimersByTime(STALL_MS / 10);
  }

  expect(stopped.stalls).toBe(1);
});

test("no timer runs while nothing waits for a peer", () => {
  const watch = new StallWatch({ stallMs: STALL_MS });
  const one = peer();
  watch.note(one);
  one.waiting = false;

  vi.advanceTimersByTime(STALL_MS);

  expect(vi.getTimerCount()).toBe(0);
  expect(one.stalls).toBe(0);
});

test("a forgotten peer is not looked at again", () => {
  const watch = new StallWatch({ stallMs: STALL_MS });
  const one = peer();
  watch.note(one);

  watch.forget(one);
  vi.advanceTimersByTime(2 * STALL_MS);

  expect(one.stalls).toBe(0);
  expect(vi.getTimerCount()).toBe(0);
});

describe("a peer that can read behind its window without showing it", () => {
  const LARGE_MS = 300_000;
  const KIB = 1_024;

  /** When a peer that stops with such a window is cut off, in ms. */
  function stalledAfter(windowBytes: number, largeWindowMs?: number, stallMs?: number): number {
    const watch = new StallWatch({ stallMs: STALL_MS, largeWindowMs });
    const start = performance.now();
    let after = Number.NaN;
    const onStall = () => (after = performance.now() - start);
    watch.note({ ...peer(), windowBytes: () => windowBytes, stallMs, onStall });
    vi.advanceTimersByTime(2 * LARGE_MS);
    return after;
  }

  test("is waited for as long as 1 KiB/s would need, within bounds", () => {
    expect(stalledAfter(0, LARGE_MS)).toBe(STALL_MS);
    expect(stalledAfter(4 * KIB, LARGE_MS)).toBe(STALL_MS);
    expect(stalledAfter(64 * KIB, LARGE_MS)).toBe(160_000);
    expect(stalledAfter(6 * KIB * KIB, LARGE_MS)).toBe(LARGE_MS);
  });

  test("is cut off with all others unless more is granted", () => {
    expect(stalledAfter(64 * KIB)).toBe(STALL_MS);
  });

  test("gets no more than its own request asks for", () => {
    expect(stalledAfter(64 * KIB, LARGE_MS, 20_000)).toBe(20_000);
    expect(stalledAfter(64 * KIB, LARGE_MS, 800)).toBe(800);
    expect(stalledAfter(0, LARGE_MS, 20_000)).toBe(STALL_MS);
  });
});

test("a request that asks for less than all others is looked at often enough", () => {
  const watch = new StallWatch({ stallMs: STALL_MS });
  const patient = peer();
  const hasty = { ...peer(), stallMs: 200, onStall: vi.fn() };
  watch.note(patient);
  watch.note(hasty);

  vi.advanceTimersByTime(199);
  expect(hasty.onStall).not.toHaveBeenCalled();
  vi.advanceTimersByTime(11);
  expect(hasty.onStall).toHaveBeenCalledExactlyOnceWith(200);
  expect(patient.stalls).toBe(0);
});

test("a request that asks for less has nobody else looked at more often, nor longer than it lasts", () => {
  const watch = new StallWatch({ stallMs: STALL_MS });
  const patient = { ...peer(), taken: vi.fn(() => performance.now()) };
  const hasty = { ...peer(), stallMs: 100, taken: vi.fn(() => performance.now()) };
  watch.note(patient);
  watch.note(hasty);

  vi.advanceTimersByTime(STALL_MS);
  expect(hasty.taken.mock.calls.length).toBeGreaterThan(1_000);
  expect(patient.taken.mock.calls.length).toBeLessThan(100);
  expect(patient.taken.mock.calls.length).toBeGreaterThan(50);

  watch.forget(hasty);
  const check = vi.spyOn(watch, "check");
  vi.advanceTimersByTime(STALL_MS);
  expect(check.mock.calls.length).toBeLessThan(100);
  expect(check.mock.calls.length).toBeGreaterThan(50);
});
