import { readFileSync } from "node:fs";
import { messageOf } from "../lib/error-text.ts";
import type { Logger } from "../log.ts";
import { hardwareClockS } from "../system/hardware-clock.ts";
import { KernelLog } from "../system/kernel-log.ts";
import type { Sign } from "./participants.ts";

/** What the kernel says when the hypervisor shows it a new generation, since Linux 5.18. */
const VM_FORK = /^[0-7],[^;]*;.*crng reseeded due to virtual machine fork/;
/** How often that interrupted the kernel, where the hypervisor signals it by this ACPI event. */
const GENERATION_COUNTER = "/sys/firmware/acpi/interrupts/gpe05";
/** How far the two clocks may drift apart between two looks: the hardware's has whole seconds. */
const LEAP_S = 2;
/** Reading the hardware's clock leaves the virtual machine. */
const CLOCK_LOOK_MS = 200;
/** How often is looked at the clocks while there are connections to lose, in ms. */
const TICK_MS = 5_000;

/** Looks for signs that the machine was frozen. Each is told once. */
export class RestoreSigns {
  /** Called when a sign shows by itself. */
  onSign: (sign: Sign) => void = () => {};
  readonly #log: Logger;
  #kernelLog: KernelLog | undefined;
  #counter: number | undefined;
  /** How far the hardware's clock was ahead of the kernel's at the last look. */
  #aheadS: number | undefined;
  #lookedAt = Number.NEGATIVE_INFINITY;
  #tick: NodeJS.Timeout | undefined;

  constructor({ log }: { log: Logger }) {
    this.#log = log;
  }

  /** What wakes the agent, in words; `undefined` while nothing does. */
  get awake(): string | undefined {
    return this.#tick === undefined ? undefined : `clock: a look every ${TICK_MS} ms`;
  }

  /** Begins to look. */
  start(): void {
    try {
      this.#kernelLog = new KernelLog(() => this.#tell());
    } catch (reason) {
      this.#log.debug({ reason: messageOf(reason) }, "the kernel's log cannot be read");
    }
    this.#counter = readCounter();
    this.rebase();
  }

  /** A sign that has shown since the last look. Takes microseconds. */
  check(): Sign | undefined {
    if (this.#isNewGeneration()) {
      // What the clocks show is explained by it.
      this.rebase();
      return "generation";
    }
    return this.#hasLeapt() ? "clock" : undefined;
  }

  /** Looks at the clocks from time to time, or stops to. */
  watch(isWatching: boolean): void {
    clearInterval(this.#tick);
    const hasClock = this.#aheadS !== undefined;
    this.#tick =
      isWatching && hasClock ? setInterval(() => this.#tell(), TICK_MS).unref() : undefined;
  }

  /** The clock was set on purpose: how far they are apart now is right. */
  rebase(): void {
    this.#aheadS = aheadS();
  }

  /** Stops to look. */
  close(): void {
    this.watch(false);
    this.#kernelLog?.close();
    this.#kernelLog = undefined;
  }

  #tell(): void {
    const sign = this.check();
    if (sign !== undefined) this.onSign(sign);
  }

  /** The kernel's log tells it exactly; the counter also counts other events, and is second best. */
  #isNewGeneration(): boolean {
    if (this.#kernelLog !== undefined) {
      return this.#kernelLog.drain().some((record) => VM_FORK.test(record));
    }
    const before = this.#counter;
    this.#counter = readCounter();
    return before !== undefined && this.#counter !== undefined && this.#counter !== before;
  }

  #hasLeapt(): boolean {
    const before = this.#aheadS;
    const now = performance.now();
    if (before === undefined || now - this.#lookedAt < CLOCK_LOOK_MS) return false;
    this.#lookedAt = now;
    this.rebase();
    return this.#aheadS !== undefined && this.#aheadS - before > LEAP_S;
  }
}

function aheadS(): number | undefined {
  const hardwareS = hardwareClockS();
  return hardwareS === undefined ? undefined : hardwareS - Date.now() / 1_000;
}

function readCounter(): number | undefined {
  try {
    return Number.parseInt(readFileSync(GENERATION_COUNTER, "latin1"), 10);
  } catch {
    // No ACPI, or none that is shown to programs.
    return undefined;
  }
}
