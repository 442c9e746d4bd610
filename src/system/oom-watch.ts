import { readlinkSync } from "node:fs";
import type { Logger } from "../log.ts";
import { type KernelLine, KernelLog } from "./kernel-log.ts";
import { canMark, markOf } from "./mark.ts";

/** What the kernel writes of a program that it kills. What programs choose themselves comes later. */
const KILLED = /^(?:Memory cgroup out|Out) of memory[^:]*: Killed process (\d+) /;
/** The pids in the log are those of this namespace: the machine's first one. */
const FIRST_NAMESPACE = "pid:[4026531836]";
/** How often more of the log is read at once: the kernel lists all programs before it kills one. */
const MOST_DRAINS = 64;

/** What tells a program and all that it has started. */
interface Marked {
  readonly pid: number;
  readonly mark: string;
}

/** How often the kernel has killed a program, or one it has started, for want of memory. */
export interface OomCount extends Disposable {
  /** `undefined` where that cannot be known. */
  readonly kills: number | undefined;
}

interface Count extends Marked {
  kills: number;
  isExact: boolean;
}

/**
 * Finds out whom the kernel kills for want of memory, by what it writes to its log: the counters of
 * a cgroup would tell of all that share it.
 */
export class OomWatch {
  readonly #log: KernelLog;
  readonly #counts = new Set<Count>();
  #isOpened = false;

  /** Sees nothing before `open`. */
  constructor(log: Logger) {
    const onLost = () => this.#lose();
    this.#log = new KernelLog({ log, onLost, onLine: (line) => this.note(line) });
  }

  /** Begins to look. Again, or where it cannot be known who is killed, it does nothing. */
  open(): void {
    if (this.#isOpened) return;
    this.#isOpened = true;
    if (canMark() && isFirstNamespace()) this.#log.open();
  }

  /** Counts for `program` from now on, until the count is disposed of. */
  watch({ pid, mark }: Marked): OomCount {
    const count: Count = { pid, mark, kills: 0, isExact: this.#log.isOpen };
    this.#counts.add(count);
    const kills = () => this.#killsOf(count);
    return {
      get kills() {
        return kills();
      },
      [Symbol.dispose]: () => this.#counts.delete(count),
    };
  }

  /** Told of a line of the kernel's log. */
  note({ facility, text }: KernelLine): void {
    const killed = facility === 0 ? KILLED.exec(text)?.[1] : undefined;
    if (killed === undefined) return;
    const pid = Number(killed);
    const mark = markOf(pid);
    const counts = [...this.#counts];
    // One that is gone may have been anybody's, but those watched are told by their pids.
    const found = counts.find((one) => (mark === undefined ? one.pid === pid : one.mark === mark));
    if (found !== undefined) found.kills += 1;
    else if (mark === undefined) this.#lose();
  }

  /** Looks no more: nothing is known from now on. */
  close(): void {
    this.#log.close();
  }

  #killsOf(count: Count): number | undefined {
    // The kernel writes that it kills a program before that can end.
    for (let drains = 0; drains < MOST_DRAINS && this.#log.drain(); drains += 1);
    return count.isExact && this.#log.isOpen ? count.kills : undefined;
  }

  #lose(): void {
    for (const count of this.#counts) count.isExact = false;
  }
}

function isFirstNamespace(): boolean {
  try {
    return readlinkSync("/proc/self/ns/pid") === FIRST_NAMESPACE;
  } catch {
    return false;
  }
}
