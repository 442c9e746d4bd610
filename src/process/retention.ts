import type { EndFacts, ProcessEnd } from "./exit.ts";
import type { ProcessIdentity, Selector } from "./identity.ts";
import { LogView, type ViewSource } from "./log-view.ts";
import type { Offsets } from "./offsets.ts";
import type { OutputLog } from "./output-log.ts";
import type { Viewer } from "./viewer.ts";

/** How long the end of a process can still be asked for. From the envd contract. */
export const RETENTION_MS = 30_000;
/** The most ends that are kept; beyond it the oldest goes first. */
const RETAINED = 10_000;
/** The most that the commands of these have together, in characters; beyond it likewise. */
const RETAINED_CHARACTERS = 64 * 1024 * 1024;
/** The most memory that logs of ended processes take together; beyond it the oldest is emptied. */
const RETAINED_LOG_BYTES = 64 * 1024 * 1024;

/** A process that has ended. */
export interface EndedProcess extends ProcessIdentity {
  end: ProcessEnd;
  facts: EndFacts;
  /** What it wrote last. */
  output: OutputLog;
}

/**
 * The view of a process that has ended already: its start and its end, and between them what its
 * log has from these offsets on, if any are given.
 */
export function endedView(
  { pid, tag, end, facts, output }: EndedProcess,
  options: Omit<ViewSource, "process" | "log" | "cursor" | "fanOut">,
  from?: Offsets,
): Viewer {
  const cursor = from === undefined ? output.endCursor() : output.cursor(from);
  const viewer = new LogView({ process: { pid, tag }, log: output, cursor, ...options });
  viewer.push({ kind: "end", end, facts });
  return viewer;
}

/** Keeps how processes ended and what they wrote last, for those who ask too late. */
export class Retention implements Disposable {
  readonly #byPid = new Map<number, EndedProcess & { until: number }>();
  /** What the commands of all have together, and what their logs take. */
  #characters = 0;
  #logBytes = 0;
  #timer: NodeJS.Timeout | undefined;

  /** Keeps `ended` for the retention time. */
  add(ended: EndedProcess): void {
    this.#drop(ended.pid);
    this.#byPid.set(ended.pid, { ...ended, until: performance.now() + RETENTION_MS });
    this.#characters += charactersOf(ended);
    this.#logBytes += ended.output.storedBytes;
    while (this.#byPid.size > RETAINED || this.#characters > RETAINED_CHARACTERS) {
      const [oldest] = this.#byPid.values();
      if (oldest === undefined) break;
      this.#empty(oldest);
      this.#drop(oldest.pid);
    }
    this.#boundLogs();
    this.#arm();
  }

  /** Those that are kept, oldest first. */
  list(): EndedProcess[] {
    return [...this.#byPid.values()];
  }

  /** The process that had this pid, or the one that ended last under this tag. */
  find(selector: Selector): EndedProcess | undefined {
    if ("pid" in selector) return this.#byPid.get(selector.pid);
    return [...this.#byPid.values()].findLast((ended) => ended.tag === selector.tag);
  }

  /** A new process with this pid and tag is found instead. Who lost its tag keeps its pid. */
  replace(pid: number, tag: string | undefined): void {
    this.#drop(pid);
    if (tag === undefined) return;
    for (const ended of this.#byPid.values()) {
      if (ended.tag === tag) ended.tag = undefined;
    }
  }

  [Symbol.dispose](): void {
    clearTimeout(this.#timer);
    for (const pid of this.#byPid.keys()) this.#drop(pid);
  }

  #boundLogs(): void {
    for (const ended of this.#byPid.values()) {
      if (this.#logBytes <= RETAINED_LOG_BYTES) return;
      this.#empty(ended);
    }
  }

  #empty({ output }: EndedProcess): void {
    this.#logBytes -= output.storedBytes;
    output.clear();
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
      this.#drop(ended.pid);
    }
  }

  #drop(pid: number): void {
    const ended = this.#byPid.get(pid);
    if (ended === undefined) return;
    this.#characters -= charactersOf(ended);
    this.#logBytes -= ended.output.storedBytes;
    ended.output.forget();
    this.#byPid.delete(pid);
  }
}

function charactersOf({ config }: EndedProcess): number {
  const { cmd, args, envs } = config;
  const texts = [cmd, ...args, ...Object.entries(envs).flat()];
  return texts.reduce((sum, text) => sum + text.length, 0);
}
