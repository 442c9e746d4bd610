/** How often a peer is looked at in its stall time. It is cut off at most two looks too late: 2.5 %. */
const CHECKS = 80;

/** By how much a timer may be early, in ms. */
const EARLY_MS = 1;

/**
 * How long a peer that reads 1 KiB/s can look as if it had stopped, for each byte of its receive
 * window: measured by `bench/silence.ts`, with a quarter to spare.
 */
const SILENCE_MS_PER_WINDOW_BYTE = 2_500 / 1_024;

/** What the stall watch looks at. */
export interface Watched {
  /** Whether something waits for the peer. */
  isWaiting(): boolean;
  /** A number that changes whenever the peer has taken, or sent, something. */
  taken(): number;
  /** What its own request has asked for, in ms. It only lowers what the agent would wait. */
  stallMs?: number | undefined;
  /**
   * How much the peer's system takes before its program has to read, in bytes: behind so much a
   * program can read for long and nothing of it is seen. 0 when not even its system has answered
   * for `stallMs`. Absent where nothing hides what it does.
   */
  windowBytes?(stallMs: number): number;
  /** Called once, when the peer has taken nothing for `limitMs`, its stall time. */
  onStall(limitMs: number): void;
}

/** For how long peers are waited for. */
export interface StallTimes {
  /** How long a peer may take nothing, in ms. */
  stallMs: number;
  /**
   * The most a peer is waited for whose receive window is so large that it can read without
   * showing it, in ms. Default `stallMs`: every peer is cut off at the same time.
   */
  largeWindowMs?: number | undefined;
  /** A monotonic clock in ms. */
  now?: () => number;
}

/** How long a peer may take nothing behind a window of `windowBytes`, in ms. */
export function patienceMs(windowBytes: number, leastMs: number, mostMs: number): number {
  return Math.max(leastMs, Math.min(mostMs, windowBytes * SILENCE_MS_PER_WINDOW_BYTE));
}

interface Entry {
  watched: Watched;
  /** How often it is looked at, in ms. */
  everyMs: number;
  lookedAt: number;
  taken: number;
  /** When the peer last took something, or began to have something to take. */
  since: number;
}

/**
 * Finds peers that have stopped to take what is sent to them, or to send what is waited for.
 * Whatever is written in between, only bytes that the peer has really moved count as progress.
 * Costs nothing while nobody is waited for: there is no timer then.
 */
export class StallWatch {
  readonly #stallMs: number;
  readonly #largeWindowMs: number;
  readonly #now: () => number;
  readonly #active = new Map<Watched, Entry>();
  #everyMs = 0;
  #timer: NodeJS.Timeout | undefined;

  constructor({ stallMs, largeWindowMs = stallMs, now = () => performance.now() }: StallTimes) {
    this.#stallMs = stallMs;
    this.#largeWindowMs = Math.max(stallMs, largeWindowMs);
    this.#now = now;
  }

  /** What wakes the agent, in words; `undefined` while nothing does. */
  get awake(): string | undefined {
    if (this.#timer === undefined) return undefined;
    return `streams: ${this.#active.size} peers have something to take or to send`;
  }

  /** Looks at `watched` until nothing waits for its peer. Call it after every write. */
  note(watched: Watched): void {
    if (this.#active.has(watched)) return;
    const now = this.#now();
    const stallMs = Math.min(this.#stallMs, watched.stallMs ?? this.#stallMs);
    const everyMs = Math.ceil(stallMs / CHECKS);
    const taken = watched.taken();
    this.#active.set(watched, { watched, everyMs, lookedAt: now, taken, since: now });
    if (this.#timer === undefined || everyMs < this.#everyMs) this.#lookEvery(everyMs);
  }

  /** Stops to look at `watched`. */
  forget(watched: Watched): void {
    this.#active.delete(watched);
    if (this.#active.size === 0) this.#rest();
  }

  /** Looks at all whose turn it is. The watch does it by itself, many times in a stall time. */
  check(): void {
    const now = this.#now();
    let everyMs = Number.POSITIVE_INFINITY;
    for (const entry of this.#active.values()) {
      if (now - entry.lookedAt > entry.everyMs - EARLY_MS) this.#look(entry, now);
      everyMs = Math.min(everyMs, entry.everyMs);
    }
    if (this.#active.size === 0) this.#rest();
    else if (everyMs > this.#everyMs) this.#lookEvery(everyMs);
  }

  #look(entry: Entry, now: number): void {
    const { watched } = entry;
    const gapMs = now - entry.lookedAt;
    entry.lookedAt = now;
    const taken = watched.taken();
    if (!watched.isWaiting()) {
      this.#active.delete(watched);
      return;
    }
    if (taken !== entry.taken) {
      entry.taken = taken;
      entry.since = now;
      return;
    }
    const limitMs = this.#limitOf(watched);
    // Over a machine that stood still time passed in which no peer could take anything.
    if (gapMs > limitMs / 2) entry.since = Math.min(now, entry.since + gapMs);
    if (now - entry.since < limitMs) return;
    this.#active.delete(watched);
    watched.onStall(limitMs);
  }

  #limitOf(watched: Watched): number {
    const windowBytes = watched.windowBytes?.(this.#stallMs) ?? 0;
    const limitMs = patienceMs(windowBytes, this.#stallMs, this.#largeWindowMs);
    return Math.min(limitMs, watched.stallMs ?? limitMs);
  }

  #lookEvery(everyMs: number): void {
    clearInterval(this.#timer);
    this.#everyMs = everyMs;
    this.#timer = setInterval(() => this.check(), everyMs).unref();
  }

  #rest(): void {
    clearInterval(this.#timer);
    this.#timer = undefined;
  }
}
