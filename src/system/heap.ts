import { Session } from "node:inspector/promises";
import { sleep } from "../lib/sleep.ts";
import { libcFunction } from "./libc.ts";

/** Freed array buffers are given back by a thread of V8 shortly after the collection. */
const SWEEP_MS = 50;
const ROUNDS = 2;

/**
 * Collects all garbage of the agent and gives the memory back to the kernel, so that a snapshot
 * does not carry it. Takes about 100 ms in which little else is done.
 */
export async function compactHeap(): Promise<void> {
  const session = new Session();
  session.connect();
  try {
    // What the first round frees may have been all that kept something else alive.
    for (let round = 0; round < ROUNDS; round += 1) {
      await session.post("HeapProfiler.collectGarbage");
    }
  } finally {
    session.disconnect();
  }
  await sleep(SWEEP_MS);
  libcFunction("int malloc_trim(uint64_t pad)")(0);
}
