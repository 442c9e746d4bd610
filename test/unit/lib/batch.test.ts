import { expect, test } from "vitest";
import { ahead } from "../../../src/lib/ahead.ts";
import { Batch } from "../../../src/lib/batch.ts";
import { nextTurn } from "../../../src/lib/turns.ts";

async function* numbers(count: number): AsyncGenerator<number> {
  for (let index = 0; index < count; index += 1) yield index;
}

test("a batch does no more at once than it may", async () => {
  const batch = new Batch(3);
  const running = new Map<string, number>();
  let most = 0;

  for (let index = 0; index < 30; index += 1) {
    const name = `name ${index % 4}`;
    await batch.add(name, async () => {
      expect(running.get(name) ?? 0).toBe(0);
      running.set(name, 1);
      most = Math.max(
        most,
        [...running.values()].reduce((sum, one) => sum + one, 0),
      );
      await nextTurn();
      running.set(name, 0);
    });
  }
  await batch.settle();

  expect(most).toBe(3);
  expect([...running.values()]).toEqual([0, 0, 0, 0]);
});

test("a batch does nothing twice at once for one name, and all in order", async () => {
  const batch = new Batch(3);
  const steps: string[] = [];

  for (const step of ["1", "2", "3"]) {
    await batch.add("name", async () => {
      steps.push(`begin ${step}`);
      await nextTurn();
      steps.push(`end ${step}`);
    });
  }
  await batch.settle();

  expect(steps).toEqual(["begin 1", "end 1", "begin 2", "end 2", "begin 3", "end 3"]);
});

test("a batch tells the first failure, and no other one", async () => {
  const batch = new Batch(2);
  const fail = (text: string) => async () => {
    await nextTurn();
    throw new Error(text);
  };

  await batch.add("one", fail("first"));
  await batch.add("two", fail("second"));

  await expect(batch.settle()).rejects.toThrow("first");
  await batch.settle();
});

test("results come in the order of their items, whichever is ready first", async () => {
  const results: number[] = [];
  let running = 0;
  let most = 0;

  const act = async (item: number) => {
    running += 1;
    most = Math.max(most, running);
    for (let turn = item % 5; turn >= 0; turn -= 1) await nextTurn();
    running -= 1;
    return item;
  };
  for await (const result of ahead(numbers(20), 4, act)) results.push(result);

  expect(results).toEqual(Array.from({ length: 20 }, (_, index) => index));
  expect(most).toBe(4);
});

test("who leaves early waits for what runs, and a failure comes in its turn", async () => {
  let running = 0;
  const act = async (item: number) => {
    running += 1;
    await nextTurn();
    running -= 1;
    if (item === 3) throw new Error("three");
    return item;
  };
  const results: number[] = [];

  const reading = (async () => {
    for await (const result of ahead(numbers(20), 8, act)) results.push(result);
  })();

  await expect(reading).rejects.toThrow("three");
  expect(results).toEqual([0, 1, 2]);
  expect(running).toBe(0);
});
