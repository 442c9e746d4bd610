import { KernelNumber } from "./kernel-number.ts";

const SINCE_EPOCH = "/sys/class/rtc/rtc0/since_epoch";
/** Asking the chip takes 0.2 to 2 ms on an emulated machine. */
const LOOK_MS = 200;
/** As far as the kernel ever lets its clock run off to correct it. */
const DRIFT = 500e-6;

/**
 * The real-time clock of the machine, which runs on while a virtual machine is frozen; nothing
 * else in the guest does. It is held against the time that the agent has lived through and not
 * against the time of day, so it does not matter who sets that, or whether it was ever right.
 */
export class Rtc implements Disposable {
  readonly #seconds: KernelNumber;
  #aheadMs: number | undefined;
  #lookedAt = Number.NEGATIVE_INFINITY;

  /** `path` defaults to the kernel's file for the first clock. */
  constructor(path = SINCE_EPOCH) {
    this.#seconds = new KernelNumber(path);
  }

  /** Whether the machine has such a clock. */
  get exists(): boolean {
    return this.#seconds.exists;
  }

  /**
   * By how many ms it has leapt since the last look, beyond what clocks drift apart; to the second,
   * and negative when it was set back. 0 at the first look and within 200 ms of another one;
   * `undefined` where there is no such clock.
   */
  leapMs(): number | undefined {
    if (!this.exists) return undefined;
    const sinceMs = performance.now() - this.#lookedAt;
    if (sinceMs < LOOK_MS) return 0;
    const before = this.#aheadMs;
    this.rebase();
    if (before === undefined || this.#aheadMs === undefined) return 0;
    const leapMs = this.#aheadMs - before;
    return Math.sign(leapMs) * Math.max(0, Math.abs(leapMs) - sinceMs * DRIFT);
  }

  /** Looks, and takes what it sees for right. */
  rebase(): void {
    const seconds = this.#seconds.read();
    this.#lookedAt = performance.now();
    if (seconds !== undefined) this.#aheadMs = seconds * 1_000 - this.#lookedAt;
  }

  [Symbol.dispose](): void {
    this.#seconds[Symbol.dispose]();
  }
}
