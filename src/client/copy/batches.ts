import type { TreePath } from "../trees.ts";

/** From this size on a file travels alone, and is gone on with where it was cut off. */
export const LARGE_BYTES = 4 * 1024 * 1024;
/** How many batches are under way at once: small files are more waiting than work. */
export const BATCHES_AT_ONCE = 4;
const BATCH_BYTES = 32 * 1024 * 1024;
const BATCH_ENTRIES = 500;

/** Splits entries into batches that are small enough to be sent again when they are cut. */
export function batchesOf(entries: readonly TreePath[]): TreePath[][] {
  const batches: TreePath[][] = [];
  let batch: TreePath[] = [];
  let bytes = 0;
  for (const entry of entries) {
    const isFull = batch.length >= BATCH_ENTRIES || bytes + entry.size > BATCH_BYTES;
    if (batch.length > 0 && isFull) {
      batches.push(batch);
      batch = [];
      bytes = 0;
    }
    batch.push(entry);
    bytes += entry.size;
  }
  if (batch.length > 0) batches.push(batch);
  return batches;
}
