import { AgentError } from "../errors.ts";
import { startTimer } from "../lib/timer.ts";
import type { DurableWatcher } from "./durable-watcher.ts";

/** How long a reader of a stream may stay away, in ms, until its watcher is removed. */
const AWAY_MS = 10 * 60_000;
/** How many there may be. */
const MOST_WATCHERS = 256;

interface Kept {
  watcher: DurableWatcher;
  /** Only as long as there are readers, or were lately. */
  isTemporary: boolean;
  readers: number;
  removal: Disposable | undefined;
}

/** The durable watchers by id, and how long each is kept for readers that come back. */
export class DurableWatchers {
  readonly #awayMs: number;
  readonly #kept = new Map<string, Kept>();

  /** `awayMs`: how long a stream's reader may stay away; default 10 minutes. */
  constructor(awayMs = AWAY_MS) {
    this.#awayMs = awayMs;
  }

  /** Throws `exhausted` when there are too many for another. */
  checkRoom(): void {
    if (this.#kept.size < MOST_WATCHERS) return;
    const message = `there are ${MOST_WATCHERS} durable watchers: remove one`;
    throw new AgentError("exhausted", message);
  }

  /** `isTemporary`: removed when it had no reader for 10 minutes, not only by `remove`. */
  add(id: string, watcher: DurableWatcher, isTemporary: boolean): void {
    const kept = { watcher, isTemporary, readers: 0, removal: undefined };
    this.#kept.set(id, kept);
    this.#awaitReader(id, kept);
  }

  /** The watcher with this id, if there is one. */
  get(id: string): DurableWatcher | undefined {
    return this.#kept.get(id)?.watcher;
  }

  /** Keeps the watcher until the result is disposed of. Throws `not-found`. */
  read(id: string): { watcher: DurableWatcher } & Disposable {
    const kept = this.#kept.get(id);
    if (kept === undefined) throw new AgentError("not-found", `watcher with id ${id} not found`);
    kept.readers += 1;
    kept.removal?.[Symbol.dispose]();
    let isReading = true;
    return {
      watcher: kept.watcher,
      [Symbol.dispose]: () => {
        if (isReading) kept.readers -= 1;
        isReading = false;
        this.#awaitReader(id, kept);
      },
    };
  }

  /** Ends a watcher. Returns whether there was one. */
  remove(id: string): boolean {
    const kept = this.#kept.get(id);
    kept?.removal?.[Symbol.dispose]();
    kept?.watcher.close();
    return this.#kept.delete(id);
  }

  /** Ends all. */
  closeAll(): void {
    for (const id of this.#kept.keys()) this.remove(id);
  }

  #awaitReader(id: string, kept: Kept): void {
    kept.removal?.[Symbol.dispose]();
    if (!kept.isTemporary || kept.readers > 0 || this.#kept.get(id) !== kept) return;
    kept.removal = startTimer(this.#awayMs, () => this.remove(id));
  }
}
