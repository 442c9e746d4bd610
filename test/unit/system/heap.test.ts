import { expect, test } from "vitest";
import { compactHeap } from "../../../src/system/heap.ts";

/** Grows the heap, and lets go of all of it. */
function litter(): number {
  const kept: object[] = [];
  for (let number = 0; number < 300_000; number += 1) kept.push({ number, text: `item ${number}` });
  return process.memoryUsage().heapUsed + (kept.length === 0 ? 1 : 0);
}

test("garbage is gone afterwards", async () => {
  const full = litter();

  await compactHeap();

  expect(process.memoryUsage().heapUsed).toBeLessThan(full - 10_000_000);
});

test("two at once are no problem", async () => {
  await expect(Promise.all([compactHeap(), compactHeap()])).resolves.toBeDefined();
});
