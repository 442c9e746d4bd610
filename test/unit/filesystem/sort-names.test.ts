import * as fc from "fast-check";
import { expect, test } from "vitest";
import { sortNames } from "../../../src/filesystem/sort-names.ts";

test("names are in the order of their bytes", async () => {
  await expect(sortNames(["b", "B", "a", "_", "é", "10", "9"])).resolves.toEqual([
    "10",
    "9",
    "B",
    "_",
    "a",
    "b",
    "é",
  ]);
});

test("many names are sorted like few, and give way to others", async () => {
  const names = Array.from({ length: 20_001 }, (_, index) => `name-${(index * 7919) % 20_011}`);
  let turns = 0;
  const count = () => {
    turns += 1;
    counting = setImmediate(count);
  };
  let counting = setImmediate(count);

  const sorted = await sortNames(names);

  clearImmediate(counting);
  expect(sorted).toEqual(names.toSorted());
  expect(turns).toBeGreaterThanOrEqual(4);
});

test("nothing is lost and nothing is added", async () => {
  await fc.assert(
    fc.asyncProperty(fc.array(fc.string()), async (names) => {
      await expect(sortNames(names)).resolves.toEqual(names.toSorted());
    }),
  );
});
