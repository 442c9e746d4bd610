import type { ProcessEnd } from "./exit.ts";

/** How long the end of a process can still be asked for. From the envd contract. */
const RETENTION_MS = 30_000;
/** The most ends that are kept; beyond it the oldest goes first. */
const RETAINED = 10_000;

/** How a process is named: by pid, or by tag. */
export type Selector = { pid: number } | { tag: string };

/** A process that has ended. */
export interface EndedProcess {
  pid: number;
  tag: string | undefined;
  end: ProcessEnd;
}

/** Keeps how processes ended, for those who ask too late. */
export class Retention implements Disposable {
  readonly #byPid = new Map<number, EndedProcess & { until: number }>();
  #timer: NodeJS.Timeout | undefined;

  /** Keeps `ended` for the retention time. */
  add(ended: EndedProcess): void {
    this.#byPid.delete(ended.pid);
    this.#byPid.set(ended.pid, { ...ended, until: performance.now() + RETENTION_MS });
    const oldest = this.#byPid.keys().next().value;
    if (this.#byPid.size > RETAINED && oldest !== undefined) this.#byPid.delete(oldest);
    this.#arm();
  }

  /** The process that had this pid, or the one that ended last under this tag. */
  find(selector: Selector): EndedProcess | undefined {
    if ("pid" in selector) return this.#byPid.get(selector.pid);
    return [...this.#byPid.values()].findLast((ended) => ended.tag === selector.tag);
  }

  /** Forgets whatever a new process with this pid and tag takes the place of. */
  replace(pid: number, tag: string | undefined): void {
    this.#byPid.delete(pid);
    if (tag === undefined) return;
    for (const ended of this.#byPid.values()) {
      if (ended.tag === tag) this.#byPid.delete(ended.pid);
    }
  }

  [Symbol.dispose](): void {
    clearTimeout(this.#timer);
    this.#byPid.clear();
  }

  #arm(): void {
    const first = this.#byPid.values().next().value;
    if (this.#timer !== undefined || first === undefined) return;
    this.#timer = setTimeout(
      () => {
        this.#timer = undefined;
        this.#forget();
        this.#arm();
      },
      Math.max(0, first.until - performance.now()),
    ).unref();
  }

  #forget(): void {
    const now = performance.now();
    for (const ended of this.#byPid.values()) {
      if (ended.until > now) return;
      this.#byPid.delete(ended.pid);
    }
  }
}
