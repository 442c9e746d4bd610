import { statSync } from "node:fs";
import { expect, test } from "vitest";
import { InodeLocks } from "../../../src/filesystem/inode-locks.ts";

const file = statSync("/etc/passwd");
const other = statSync("/etc/group");
const never = new AbortController().signal;

test("a file is held by one at a time, different files are not in each other's way", () => {
  const locks = new InodeLocks();

  const release = locks.tryHold(file);

  expect(release).toBeDefined();
  expect(locks.tryHold(file)).toBeUndefined();
  expect(locks.tryHold(other)).toBeDefined();
  release?.();
  expect(locks.tryHold(file)).toBeDefined();
});

test("whoever waits gets the file, one after the other", async () => {
  const locks = new InodeLocks();
  const order: number[] = [];
  const first = await locks.hold(file, never);
  const waiting = [1, 2, 3].map(async (number) => {
    const release = await locks.hold(file, never);
    order.push(number);
    release();
  });

  expect(order).toEqual([]);
  first();
  await Promise.all(waiting);

  expect(new Set(order)).toEqual(new Set([1, 2, 3]));
});

test("waiting ends with the signal", async () => {
  const locks = new InodeLocks();
  await locks.hold(file, never);
  const gone = new AbortController();
  const waiting = locks.hold(file, gone.signal);

  gone.abort(new Error("gone"));

  await expect(waiting).rejects.toThrow("gone");
});

test("releasing twice does not free another's hold", async () => {
  const locks = new InodeLocks();
  const first = await locks.hold(file, never);
  first();
  await locks.hold(file, never);

  first();

  expect(locks.tryHold(file)).toBeUndefined();
});
