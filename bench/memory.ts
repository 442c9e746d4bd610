import { readFileSync } from "node:fs";
import { setTimeout as wait } from "node:timers/promises";

/** What a process holds, in KiB. */
export interface Memory {
  rss: number;
  privateDirty: number;
}

/** Reads what `pid` holds now. */
function memoryOf(pid: number): Memory {
  const text = readFileSync(`/proc/${pid}/smaps_rollup`, "latin1");
  const field = (name: string) => Number(new RegExp(`^${name}: +(\\d+)`, "m").exec(text)?.[1]);
  return { rss: field("Rss"), privateDirty: field("Private_Dirty") };
}

const PAGE_KIB = 4;

/** Resident memory alone, in KiB: reading it costs the process next to nothing. */
export function residentOf(pid: number): number {
  return PAGE_KIB * Number(readFileSync(`/proc/${pid}/statm`, "latin1").split(" ")[1]);
}

const SAMPLE_MS = 250;
const STABLE_SAMPLES = 6;
/** How much memory may still move while it counts as settled, in KiB. */
const STABLE_KIB = 256;

/** What `pid` holds once a second and a half has not changed it, or after `limitMs` at the latest. */
export async function settledMemoryOf(pid: number, limitMs = 20_000): Promise<Memory> {
  const deadline = performance.now() + limitMs;
  const samples: Memory[] = [];
  for (;;) {
    const now = memoryOf(pid);
    samples.push(now);
    const recent = samples.slice(-STABLE_SAMPLES).map((sample) => sample.privateDirty);
    const isStable =
      recent.length === STABLE_SAMPLES && Math.max(...recent) - Math.min(...recent) <= STABLE_KIB;
    if (isStable || performance.now() > deadline) return now;
    await wait(SAMPLE_MS);
  }
}
