import { expect, test } from "vitest";
import { WatchedDirectories } from "../../../src/filesystem/watched-directories.ts";

/** These names, watched in this order by 1, 2, … */
function watched(...names: string[]): WatchedDirectories {
  const directories = new WatchedDirectories();
  for (const [index, name] of names.entries()) directories.add(name, index + 1);
  return directories;
}

test("a tree is let go with all below it and nothing beside it", () => {
  const directories = watched("", "a", "a/b", "a/b/c", "ab", "b");

  expect(directories.deleteTree("a").sort()).toEqual([2, 3, 4]);
  expect(directories.watches()).toEqual([1, 5, 6]);
  expect(directories.watchOf("a/b/c")).toBeUndefined();
});

test("what lies below a directory without a watch is let go as well", () => {
  const directories = watched("", "a/b/c", "a/d");

  expect(directories.deleteTree("a").sort()).toEqual([2, 3]);
  expect(directories.deleteTree("a")).toEqual([]);
});

test("a directory whose watch has ended still leads to those below it", () => {
  const directories = watched("", "a", "a/b", "a/b/c");
  directories.deleteWatch(3);

  expect(directories.deleteTree("a/b")).toEqual([4]);
  expect(directories.deleteTree("a")).toEqual([2]);
});

test("a watch with two names is left when the second goes", () => {
  const directories = watched("", "a", "b");
  directories.add("b/again", 2);

  expect(directories.deleteTree("a")).toEqual([]);
  expect(directories.namesOf(2)).toEqual(["b/again"]);
  expect(directories.deleteTree("b").sort()).toEqual([2, 3]);
});

test("the root is let go with everything", () => {
  expect(watched("", "a", "a/b").deleteTree("").sort()).toEqual([1, 2, 3]);
});

test("letting one go takes the same time among many", () => {
  const names = Array.from({ length: 200_000 }, (_, index) => `parent/${index}`);
  const directories = watched("", "parent");
  for (const [index, name] of names.entries()) directories.add(name, 3 + index);
  const start = performance.now();

  for (const name of names.slice(0, 1_000)) directories.deleteTree(name);

  expect(performance.now() - start).toBeLessThan(1_000);
  expect(directories.watches()).toHaveLength(199_002);
  expect(directories.deleteTree("parent")).toHaveLength(199_001);
});
