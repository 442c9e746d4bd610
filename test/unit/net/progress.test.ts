import { afterEach, beforeEach, expect, test, vi } from "vitest";
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
  const watch = new StallWatch(STALL_MS);
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
  const watch = new StallWatch(STALL_MS);
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
  const watch = new StallWatch(STALL_MS, () => performance.now() + standstillMs);
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
  const watch = new StallWatch(STALL_MS);
  const stopped = peer();

  for (let round = 0; round < 12; round++) {
    watch.note(stopped);
    vi.advanceTimersByTime(STALL_MS / 10);
  }

  expect(stopped.stalls).toBe(1);
});

test("no timer runs while nothing waits for a peer", () => {
  const watch = new StallWatch(STALL_MS);
  const one = peer();
  watch.note(one);
  one.waiting = false;

  vi.advanceTimersByTime(STALL_MS);

  expect(vi.getTimerCount()).toBe(0);
  expect(one.stalls).toBe(0);
});

test("a forgotten peer is not looked at again", () => {
  const watch = new StallWatch(STALL_MS);
  const one = peer();
  watch.note(one);

  watch.forget(one);
  vi.advanceTimersByTime(2 * STALL_MS);

  expect(one.stalls).toBe(0);
  expect(vi.getTimerCount()).toBe(0);
});
