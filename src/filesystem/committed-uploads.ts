import { startTimer } from "../lib/timer.ts";
import type { Entry } from "./entries.ts";

/** How long the result of a commit can be asked for again, in ms. */
const KEPT_MS = 10 * 60_000;
/** How many results are kept; beyond it the oldest goes first. */
const MOST_KEPT = 10_000;

/** What a commit has answered. */
export interface CommittedUpload {
  id: string;
  /** As the caller gave it. */
  path: string;
  bytes: number;
  sha256: Buffer;
  /** Whether it was put in its place in one step. */
  isAtomic: boolean;
  entry: Entry;
}

/** Remembers the results of commits, for callers whose answer was lost. */
export class CommittedUploads implements Disposable {
  readonly #keptMs: number;
  readonly #byId = new Map<string, CommittedUpload & { until: number }>();
  #timer: Disposable | undefined;

  /** `keptMs`: for how long; default 10 minutes. */
  constructor(keptMs = KEPT_MS) {
    this.#keptMs = keptMs;
  }

  /** Keeps a result. */
  add(result: CommittedUpload): void {
    this.#byId.delete(result.id);
    this.#byId.set(result.id, { ...result, until: performance.now() + this.#keptMs });
    const [oldest] = this.#byId.keys();
    if (this.#byId.size > MOST_KEPT && oldest !== undefined) this.#byId.delete(oldest);
    this.#timer ??= startTimer(this.#keptMs, () => this.#expire());
  }

  /** The result of the upload with this id. */
  get(id: string): CommittedUpload | undefined {
    return this.#byId.get(id);
  }

  [Symbol.dispose](): void {
    this.#timer?.[Symbol.dispose]();
    this.#byId.clear();
  }

  #expire(): void {
    this.#timer = undefined;
    const now = performance.now();
    for (const { id, until } of this.#byId.values()) {
      if (until > now) {
        this.#timer = startTimer(until - now, () => this.#expire());
        return;
      }
      this.#byId.delete(id);
    }
  }
}
