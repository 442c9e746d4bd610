import { expect, test } from "vitest";
import { Lock } from "../../../src/lib/lock.ts";

test("only one holds the lock, and the others follow in their order", async () => {
  const lock = new Lock();
  const order: number[] = [];
  let holders = 0;
  const work = async (number: number) => {
    using _ = await lock.acquire();
    holders += 1;
    expect(holders).toBe(1);
    order.push(number);
    await new Promise(setImmediate);
    holders -= 1;
  };

  await Promise.all([work(1), work(2), work(3), work(4)]);

  expect(order).toEqual([1, 2, 3, 4]);
  expect(lock.tryAcquire()).toBeDefined();
});

test("who stops waiting is skipped", async () => {
  const lock = new Lock();
  const first = await lock.acquire();
  const leaving = new AbortController();
  const second = lock.acquire(leaving.signal);
  const third = lock.acquire();

  leaving.abort(new Error("gone"));
  await expect(second).rejects.toThrow("gone");
  first[Symbol.dispose]();

  using _ = await third;
  expect(lock.tryAcquire()).toBeUndefined();
});

test("who is gone already does not get the lock", async () => {
  const lock = new Lock();

  await expect(lock.acquire(AbortSignal.abort(new Error("gone")))).rejects.toThrow("gone");
  expect(lock.tryAcquire()).toBeDefined();
});

test("releasing twice releases once", async () => {
  const lock = new Lock();
  const first = await lock.acquire();
  const second = lock.acquire();

  first[Symbol.dispose]();
  first[Symbol.dispose]();

  using _ = await second;
  expect(lock.tryAcquire()).toBeUndefined();
});
