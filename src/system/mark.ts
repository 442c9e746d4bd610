import { callLibc } from "./libc.ts";
import { readOf } from "./programs.ts";
import { randomBytes } from "./random.ts";

const RLIMIT_RTTIME = 15;
const UNLIMITED = 2n ** 64n - 1n;
/** Marks are above 70,000 years in microseconds: as good as no limit to any program. */
const LEAST = 2n ** 61n;

/**
 * A mark for programs, as decimal digits. It is the soft limit of real-time processor time, so high
 * that it limits nothing: every program hands it on to what it starts, wherever that moves to, and
 * unlike a variable of the environment nobody sees it or loses it by accident.
 */
export function newMark(): string {
  return String(LEAST + (randomBytes(8).readBigUInt64LE() >> 4n));
}

/** Calls `start`, whose programs are born with the mark. */
export function withMark<Started>(mark: string, start: () => Started): Started {
  setLimit(BigInt(mark));
  try {
    return start();
  } finally {
    setLimit(UNLIMITED);
  }
}

/** Whether `pid` carries the mark. */
export function hasMark(pid: number, mark: string): boolean {
  return readOf(pid, "limits").includes(` ${mark} `);
}

/** Only the soft limit: every program may raise that again. */
function setLimit(microseconds: bigint): void {
  const limit = new BigUint64Array([microseconds, UNLIMITED]);
  callLibc(
    "int prlimit(int pid, int resource, void *limit, void *old)",
    0,
    RLIMIT_RTTIME,
    limit,
    null,
  );
}
