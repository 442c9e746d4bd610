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

/**
 * Calls `start`, whose programs are born with the mark; without one where the limit is in use, as
 * what was lowered for this program cannot be raised by everybody.
 */
export function withMark<Started>(mark: string, start: () => Started): Started {
  const own = ownLimit();
  if (own[1] !== UNLIMITED) return start();
  exchangeLimit(new BigUint64Array([BigInt(mark), UNLIMITED]), null);
  try {
    return start();
  } finally {
    exchangeLimit(own, null);
  }
}

/** Whether programs can be marked at all. */
export function canMark(): boolean {
  return ownLimit()[1] === UNLIMITED;
}

/** Whether `pid` carries the mark. */
export function hasMark(pid: number, mark: string): boolean {
  return markOf(pid) === mark;
}

/** The mark of `pid`, or another word when it has none; `undefined` when it is gone. */
export function markOf(pid: number): string | undefined {
  return /^Max realtime timeout +(\S+)/m.exec(readOf(pid, "limits"))?.[1];
}

/** The soft and the hard limit of this program. Who was started by another agent has its mark. */
function ownLimit(): BigUint64Array {
  const own = new BigUint64Array(2);
  exchangeLimit(null, own);
  return own;
}

function exchangeLimit(limit: BigUint64Array | null, old: BigUint64Array | null): void {
  const signature = "int prlimit(int pid, int resource, void *limit, void *old)";
  callLibc(signature, 0, RLIMIT_RTTIME, limit, old);
}
