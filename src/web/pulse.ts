/**
 * Whether the guest answers.
 *
 * - `unknown`      not asked yet.
 * - `live`         it answers.
 * - `frozen`       it takes connections or packets and says nothing.
 * - `unreachable`  it refuses, or there is no network.
 */
export type Life = "unknown" | "live" | "frozen" | "unreachable";

/** How often a guest that answers is asked, in ms. */
const LIVE_MS = 1_000;
/** How often one that does not is asked, in ms: so soon is its return noticed. */
const WAITING_MS = 500;
/** How long an answer may take, in ms. */
const PATIENCE_MS = 1_000;
/** A busy machine misses one beat; a frozen one the next as well. */
const MISSES = 2;

/** Asks the guest whether it lives, while the page is seen. */
export class Pulse {
  readonly #onChange: (life: Life) => void;
  #life: Life = "unknown";
  #misses = 0;
  #beats: AbortController | undefined;
  #timer: ReturnType<typeof setTimeout> | undefined;

  /** `onChange` is told every change. */
  constructor(onChange: (life: Life) => void) {
    this.#onChange = onChange;
  }

  /** What is known now. */
  get life(): Life {
    return this.#life;
  }

  /** Begins to ask; again, it does nothing. */
  start(): void {
    if (this.#beats !== undefined) return;
    this.#beats = new AbortController();
    this.#beat(this.#beats.signal);
  }

  /** Asks no more. */
  stop(): void {
    this.#beats?.abort();
    this.#beats = undefined;
    clearTimeout(this.#timer);
  }

  /** Asks at once, as when a call has failed. */
  hurry(): void {
    if (this.#beats === undefined || this.#life !== "live") return;
    clearTimeout(this.#timer);
    this.#beat(this.#beats.signal);
  }

  #beat(stopped: AbortSignal): void {
    void this.#ask(stopped);
    // Attempts overlap while it is away: one that began just before its return is lost with it.
    if (this.#isWaiting) this.#beatAfter(WAITING_MS, stopped);
  }

  async #ask(stopped: AbortSignal): Promise<void> {
    const began = performance.now();
    const wasWaiting = this.#isWaiting;
    try {
      const signal = AbortSignal.any([stopped, AbortSignal.timeout(PATIENCE_MS)]);
      const { ok } = await fetch("/health", { cache: "no-store", signal });
      if (stopped.aborted) return;
      if (!ok) throw new Error("something on the way has answered, and not the guest");
      this.#misses = 0;
      this.#become("live");
      clearTimeout(this.#timer);
      this.#beatAfter(LIVE_MS, stopped);
    } catch {
      if (stopped.aborted) return;
      this.#misses += 1;
      const hung = performance.now() - began >= PATIENCE_MS / 2;
      if (this.#misses >= MISSES) this.#become(hung ? "frozen" : "unreachable");
      if (!wasWaiting) this.#beatAfter(hung ? 0 : WAITING_MS, stopped);
    }
  }

  get #isWaiting(): boolean {
    return this.#life === "frozen" || this.#life === "unreachable";
  }

  #beatAfter(ms: number, stopped: AbortSignal): void {
    clearTimeout(this.#timer);
    this.#timer = setTimeout(() => {
      if (!stopped.aborted) this.#beat(stopped);
    }, ms);
  }

  #become(life: Life): void {
    if (life === this.#life) return;
    this.#life = life;
    this.#onChange(life);
  }
}
