import { expect, test } from "vitest";
import { mapConcurrently } from "../../../src/lib/concurrently.ts";
import { nextTurn } from "../../../src/lib/turns.ts";

test("the results are in the order of the items, whichever ends first", async () => {
  const results = await mapConcurrently([3, 1, 2], 3, async (turns) => {
    for (let turn = 0; turn < turns; turn += 1) await nextTurn();
    return turns * 10;
  });

  expect(results).toEqual([30, 10, 20]);
});

test("no more than the limit are under way at once", async () => {
  let underWay = 0;
  let most = 0;

  await mapConcurrently(Array.from({ length: 20 }), 4, async () => {
    most = Math.max(most, ++underWay);
    await nextTurn();
    underWay -= 1;
  });

  expect(most).toBe(4);
});

test("after a failure nothing more is begun, and what was begun has ended", async () => {
  const begun: number[] = [];
  const ended: number[] = [];
  const work = mapConcurrently([0, 1, 2, 3, 4, 5], 2, async (item) => {
    begun.push(item);
    if (item === 0) throw new Error("no");
    await nextTurn();
    ended.push(item);
  });

  await expect(work).rejects.toThrow("no");

  expect(begun).toEqual([0, 1]);
  expect(ended).toEqual([1]);
});

test("an abort stops it with the reason of the signal", async () => {
  const controller = new AbortController();
  const begun: number[] = [];
  const work = mapConcurrently(
    [0, 1, 2],
    1,
    async (item) => {
      begun.push(item);
      controller.abort(new Error("enough"));
    },
    controller.signal,
  );

  await expect(work).rejects.toThrow("enough");

  expect(begun).toEqual([0]);
});

test("no items are no work", async () => {
  await expect(mapConcurrently([], 4, () => Promise.reject(new Error("no")))).resolves.toEqual([]);
});
