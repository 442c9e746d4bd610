import { libcFunction } from "../system/libc.ts";
import type { Exit } from "./exit.ts";
import { RUSAGE_BYTES, readResourceUsage } from "./resource-usage.ts";

const WNOHANG = 1;
const WEXITED = 4;
const WNOWAIT = 0x1000000;
const P_ALL = 0;
/** Where `si_pid` stands in siginfo_t on 64-bit Linux. */
const SI_PID = 12 + 4;
/** How long at least a child that is not ours stays a zombie before process 1 buries it. */
const ORPHAN_MS = 10;

/** Told how a child ended. */
export type OnExit = (exit: Exit) => void;

/**
 * Collects the exit of children that `posix_spawn` made. Other children of this process are left
 * to whoever started them; only as process 1 of a machine are orphans buried as well.
 */
export class Reaper implements Disposable {
  readonly #children = new Map<number, OnExit>();
  readonly #isInit: boolean;
  #orphanTimer: NodeJS.Timeout | undefined;
  #burial: NodeJS.Immediate | undefined;

  constructor(isInit = process.pid === 1) {
    this.#isInit = isInit;
    process.on("SIGCHLD", this.#reap);
  }

  /** Calls `onExit` once, when `pid` has ended and is gone from the process table. */
  watch(pid: number, onExit: OnExit): void {
    this.#children.set(pid, onExit);
  }

  [Symbol.dispose](): void {
    process.off("SIGCHLD", this.#reap);
    clearTimeout(this.#orphanTimer);
    clearImmediate(this.#burial);
  }

  readonly #reap = (): void => {
    for (let pid = endedChild(); pid > 0; pid = endedChild()) {
      if (this.#children.has(pid)) {
        this.#collect(pid);
        continue;
      }
      // A stranger hides ours behind it, and only its owner may wait for it.
      for (const child of Array.from(this.#children.keys())) this.#collect(child);
      if (this.#isInit) this.#buryLater(pid);
      return;
    }
  };

  #collect(pid: number): void {
    const exit = waitFor(pid);
    if (exit === undefined) return;
    const onExit = this.#children.get(pid);
    this.#children.delete(pid);
    onExit?.(exit);
  }

  /**
   * Buries `pid` unless somebody waits for it. Owners hear of their children in the event loop,
   * so a child that has just been seen, or that ended while the loop was busy, is not for us.
   */
  #buryLater(pid: number): void {
    const bury = () => {
      this.#orphanTimer = undefined;
      if (endedChild() === pid) waitFor(pid);
      this.#reap();
    };
    this.#orphanTimer ??= setTimeout(() => {
      this.#burial = setImmediate(bury);
    }, ORPHAN_MS).unref();
  }
}

const info = Buffer.alloc(128);
const status = new Int32Array(1);
const usage = Buffer.alloc(RUSAGE_BYTES);

/** The pid of a child that has ended and waits to be collected, or 0. It goes on waiting. */
function endedChild(): number {
  info.fill(0);
  const wait = libcFunction("int waitid(int type, unsigned int id, void *info, int options)");
  const result = Number(wait(P_ALL, 0, info, WEXITED | WNOHANG | WNOWAIT));
  return result < 0 ? 0 : info.readInt32LE(SI_PID);
}

/** Collects `pid` when it has ended. */
function waitFor(pid: number): Exit | undefined {
  const wait = libcFunction("int wait4(int pid, _Out_ int *status, int options, void *usage)");
  if (Number(wait(pid, status, WNOHANG, usage)) !== pid) return undefined;
  return { waitStatus: status[0] as number, usage: readResourceUsage(usage) };
}
