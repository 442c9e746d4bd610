import type { Logger } from "../log.ts";
import { type KernelLine, KernelLog } from "../system/kernel-log.ts";
import { Rtc } from "../system/rtc.ts";
import { VmGeneration, type VmGenerationPaths } from "../system/vm-generation.ts";
import type { Sign, SignKeeper } from "./participants.ts";

/** What the kernel writes when the hypervisor has given the machine a new generation id. */
const FORK = "random: crng reseeded due to virtual machine fork";
/** A clock to the second cannot tell less; no snapshot is taken and restored in less. */
const LEAP_MS = 2_000;
/** How often the clock is looked at when nothing else happens. */
const TICK_MS = 5_000;
/**
 * How long the kernel may take, in ms, from the interrupt that announces a generation to the line
 * in its log. Spent at most once for each suspicion.
 */
const KERNEL_MS = 20;
/** How many other lines may come before that one. */
const OTHER_LINES = 8;
/** The clock leaps with the generation, or a moment later; for so long, in ms, that is one sign. */
const SAME_MS = 2_000;

/** Where signs are looked for. What is left out is the machine's own. */
export interface RestoreSignsParts {
  log: Logger;
  kernelLogPath?: string | undefined;
  generationPaths?: VmGenerationPaths | undefined;
  rtcPath?: string | undefined;
  /** Whether a line says that the machine has a new generation. Default: the kernel's own line. */
  isFork?: ((line: KernelLine) => boolean) | undefined;
}

/**
 * Looks for signs that this machine was frozen and restored; each is told once, either by `check`
 * or by `onSign`.
 *
 * `generation` is certain: the kernel itself compared the ids. `clock` says that time has passed
 * over the machine: the real-time clock ran on, or the hypervisor announced a restore without a new
 * id, as after a move. Whether connections live is another question then.
 */
export class RestoreSigns implements SignKeeper {
  /** Called when a sign shows by itself. */
  onSign: (sign: Sign) => void = () => {};
  readonly #parts: RestoreSignsParts;
  readonly #kernelLog: KernelLog;
  #generation: VmGeneration | undefined;
  #rtc: Rtc | undefined;
  #count: number | undefined;
  #hasForked = false;
  #isChecking = false;
  #clockCountsFrom = Number.NEGATIVE_INFINITY;
  #isWatching = false;
  #timer: NodeJS.Timeout | undefined;

  constructor(parts: RestoreSignsParts) {
    this.#parts = parts;
    const { log, kernelLogPath: path, isFork = isKernelsFork } = parts;
    this.#kernelLog = new KernelLog({
      log,
      path,
      onLine: (line) => {
        if (isFork(line)) this.#onFork();
      },
    });
  }

  /** Begins to look; what has happened before is no sign. Again, it does nothing. */
  start(): void {
    if (this.#rtc !== undefined) return;
    this.#kernelLog.open();
    this.#generation = new VmGeneration(this.#parts.generationPaths);
    this.#count = this.#generation.read();
    this.#rtc = new Rtc(this.#parts.rtcPath);
    this.#rtc.rebase();
    // The first look loads what later ones find in place, when somebody waits.
    this.check();
    this.watch(this.#isWatching);
  }

  /** A sign that has shown since the last look. Takes microseconds, most of the time. */
  check(): Sign | undefined {
    this.#isChecking = true;
    try {
      this.#kernelLog.drain();
      const isSuspect = this.#hasCounted() || this.#hasLeapt();
      // Certainty is worth waiting for: the kernel is about to say it, while nothing else runs.
      if (isSuspect && !this.#hasForked) this.#awaitFork();
      if (!isSuspect && !this.#hasForked) return undefined;
      this.#settle();
      return this.#hasForked ? "generation" : "clock";
    } finally {
      this.#hasForked = false;
      this.#isChecking = false;
    }
  }

  /** Looks at the clock every 5 s, where there is one, or stops to. */
  watch(isWatching: boolean): void {
    this.#isWatching = isWatching;
    const isNeeded = isWatching && this.#rtc?.exists === true;
    if (!isNeeded) {
      clearInterval(this.#timer);
      this.#timer = undefined;
      return;
    }
    this.#timer ??= setInterval(() => this.#tick(), TICK_MS).unref();
  }

  /** The clock was set on purpose: what it shows is no sign. */
  rebase(): void {
    this.#rtc?.rebase();
  }

  /** What wakes the agent, in words; `undefined` while nothing does. */
  get awake(): string | undefined {
    if (this.#timer === undefined) return undefined;
    return `snapshot: a look at the clock every ${TICK_MS} ms`;
  }

  /** Looks no more. */
  close(): void {
    this.watch(false);
    this.#kernelLog.close();
    this.#generation?.[Symbol.dispose]();
    this.#rtc?.[Symbol.dispose]();
    this.#generation = undefined;
    this.#rtc = undefined;
  }

  #onFork(): void {
    if (this.#isChecking) {
      this.#hasForked = true;
      return;
    }
    this.#settle();
    this.onSign("generation");
  }

  #tick(): void {
    const sign = this.check();
    if (sign !== undefined) this.onSign(sign);
  }

  #awaitFork(): void {
    for (let lines = 0; lines < OTHER_LINES && !this.#hasForked; lines += 1) {
      if (!this.#kernelLog.wait(KERNEL_MS)) return;
      this.#kernelLog.drain();
    }
  }

  /** The other signs of the restore that was just seen are none of another. */
  #settle(): void {
    this.#count = this.#generation?.read();
    this.#clockCountsFrom = performance.now() + SAME_MS;
    this.#rtc?.rebase();
  }

  #hasCounted(): boolean {
    const count = this.#generation?.read();
    if (count === undefined || count === this.#count) return false;
    this.#count = count;
    return true;
  }

  #hasLeapt(): boolean {
    const hasLeapt = (this.#rtc?.leapMs() ?? 0) > LEAP_MS;
    return hasLeapt && performance.now() >= this.#clockCountsFrom;
  }
}

function isKernelsFork({ facility, text }: KernelLine): boolean {
  return facility === 0 && text === FORK;
}
