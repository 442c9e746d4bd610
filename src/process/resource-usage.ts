/** What the kernel counted of a process and its reaped children. */
export interface ResourceUsage {
  /** Time in user mode, in microseconds. */
  userUs: number;
  /** Time in the kernel, in microseconds. */
  systemUs: number;
  /** The most memory that was resident at once. */
  maxResidentBytes: number;
  /** Page faults that needed a read from disk. */
  majorFaults: number;
  voluntarySwitches: number;
  involuntarySwitches: number;
}

/** How large `struct rusage` is on 64-bit Linux. */
export const RUSAGE_BYTES = 144;

/** Reads a `struct rusage`: two times of two words each, then counters of one word. */
export function readResourceUsage(rusage: Buffer): ResourceUsage {
  const word = (index: number) => Number(rusage.readBigInt64LE(index * 8));
  return {
    userUs: word(0) * 1_000_000 + word(1),
    systemUs: word(2) * 1_000_000 + word(3),
    // The kernel counts in KiB.
    maxResidentBytes: word(4) * 1024,
    majorFaults: word(9),
    voluntarySwitches: word(16),
    involuntarySwitches: word(17),
  };
}
