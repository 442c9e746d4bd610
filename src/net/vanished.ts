import type { TcpInfo } from "../system/tcp.ts";

/** A connection whose peer may vanish. */
export interface Mortal {
  /** What the kernel knows of the peer. */
  tcpInfo(): TcpInfo | undefined;
  /** Closes now by RST. */
  reset(): void;
}

/** How often it is looked, in ms, while there are connections. */
export const VANISHED_LOOK_MS = 10_000;
/** For how long a peer may leave everything unanswered, in ms. */
const SILENCE_MS = 20_000;
/** The kernel's clock ticks every 4 or 10 ms; an answer is one when it is later by more. */
const TICK_MS = 20;

/**
 * Finds peers that have vanished with data under way. The kernel itself would send that again for
 * 15 minutes. A peer that only does not read answers the kernel, and is not one of them.
 */
export class VanishedWatch {
  readonly #connections: Iterable<Mortal>;
  readonly #now: () => number;
  /** Since when each peer that owes an answer has been seen to owe it. */
  readonly #owing = new Map<Mortal, number>();
  #lookedAt = Number.NEGATIVE_INFINITY;
  #timer: NodeJS.Timeout | undefined;

  /** `now`: a monotonic clock in ms. */
  constructor(connections: Iterable<Mortal>, now: () => number = () => performance.now()) {
    this.#connections = connections;
    this.#now = now;
  }

  /** Looks from time to time, or stops to. */
  run(isRunning: boolean): void {
    clearInterval(this.#timer);
    this.#timer = isRunning ? setInterval(() => this.check(), VANISHED_LOOK_MS).unref() : undefined;
    if (!isRunning) this.#owing.clear();
  }

  /** Looks once. Who is seen owing an answer for the whole time of silence is cut off. */
  check(): void {
    const now = this.#now();
    // A machine that stood still heard no answers: what was seen before it says nothing.
    if (now - this.#lookedAt > 2 * VANISHED_LOOK_MS) this.#owing.clear();
    this.#lookedAt = now;
    const before = new Map(this.#owing);
    this.#owing.clear();
    for (const connection of this.#connections) {
      const info = connection.tcpInfo();
      if (info === undefined || (info.unacked === 0 && info.unansweredProbes === 0)) continue;
      const since = before.get(connection);
      const silentMs = Math.min(info.lastAckReceivedMs, info.lastDataReceivedMs);
      if (since === undefined || silentMs + TICK_MS < now - since) this.#owing.set(connection, now);
      else if (now - since < SILENCE_MS) this.#owing.set(connection, since);
      else connection.reset();
    }
  }
}
