import { afterEach, beforeEach, expect, test, vi } from "vitest";
import { GuestError } from "../../../src/client/errors.ts";
import { Taking } from "../../../src/client/taking.ts";

const LIMITS = { takeMs: 1_000, answerMs: 5_000 };

beforeEach(() => {
  vi.useFakeTimers();
});
afterEach(() => {
  vi.useRealTimers();
});

async function* slow(count: number, ms: number) {
  for (let index = 0; index < count; index++) {
    await vi.advanceTimersByTimeAsync(ms);
    yield index;
  }
}

test("the time that messages take to be made does not count", async () => {
  using taking = new Taking(undefined);
  const taken: number[] = [];
  for await (const message of taking.watch(slow(3, 60_000), LIMITS)) taken.push(message);

  expect(taken).toEqual([0, 1, 2]);
  expect(taking.signal.aborted).toBe(false);
});

test("a message that is not taken aborts the call, as late", async () => {
  using taking = new Taking(undefined);
  const messages = taking.watch(slow(3, 0), LIMITS);
  await messages.next();
  await vi.advanceTimersByTimeAsync(999);
  expect(taking.signal.aborted).toBe(false);
  await vi.advanceTimersByTimeAsync(1);

  expect(taking.signal.aborted).toBe(true);
  expect(taking.failureOf(new Error("aborted"))).toMatchObject({ kind: "timeout" });
});

test("the answer has a time of its own, and nothing is left armed", async () => {
  const taking = new Taking(undefined);
  for await (const _ of taking.watch(slow(1, 0), LIMITS));
  await vi.advanceTimersByTimeAsync(4_999);
  expect(taking.signal.aborted).toBe(false);
  expect(vi.getTimerCount()).toBe(1);
  taking[Symbol.dispose]();

  expect(vi.getTimerCount()).toBe(0);
});

test("what the messages fail with is told, and not what the call makes of it", async () => {
  using taking = new Taking(undefined);
  async function* failing() {
    yield 1;
    throw new Error("no disk");
  }
  const messages = taking.watch(failing(), LIMITS);
  await messages.next();
  await expect(messages.next()).rejects.toThrow("no disk");

  const told = taking.failureOf(new GuestError("unreachable", "stream closed"));
  expect(told).toMatchObject({ kind: "failed", message: "no disk" });
});

test("what the call tells its messages is no failure of theirs", async () => {
  using taking = new Taking(undefined);
  const messages = taking.watch(slow(2, 0), LIMITS);
  await messages.next();
  await messages.throw(new Error("reset")).catch(() => {});

  const told = taking.failureOf(new GuestError("unreachable", "stream closed"));
  expect(told).toMatchObject({ kind: "unreachable" });
});
