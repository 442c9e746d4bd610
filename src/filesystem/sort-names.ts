import { nextTurn } from "../lib/turns.ts";

/** Sorted in one go; takes a few milliseconds. */
const CHUNK = 4096;

/**
 * Sorts names by their bytes. A large directory is sorted in pieces, so that nobody else waits
 * for it.
 */
export async function sortNames(names: readonly string[]): Promise<string[]> {
  const runs: string[][] = [];
  for (let start = 0; start < names.length; start += CHUNK) {
    if (start > 0) await nextTurn();
    runs.push(names.slice(start, start + CHUNK).sort());
  }
  while (runs.length > 1) {
    runs.push(await merge(runs.shift() ?? [], runs.shift() ?? []));
  }
  return runs[0] ?? [];
}

async function merge(left: readonly string[], right: readonly string[]): Promise<string[]> {
  const merged: string[] = [];
  let [i, j] = [0, 0];
  while (i < left.length || j < right.length) {
    const [a, b] = [left[i], right[j]];
    if (b === undefined || (a !== undefined && a <= b)) {
      merged.push(a as string);
      i += 1;
    } else {
      merged.push(b);
      j += 1;
    }
    if (merged.length % (8 * CHUNK) === 0) await nextTurn();
  }
  return merged;
}
