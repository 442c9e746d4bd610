import type { TcpInfo } from "../system/tcp.ts";
import { OwedAnswer } from "./owed-answer.ts";

/** A connection whose peer may vanish. */
export interface Mortal {
  /** What the kernel knows of the peer. */
  tcpInfo(): TcpInfo | undefined;
  /** Closes now by RST. */
  reset(): void;
  /** What else is to be seen of it by the same look. */
  onLook(info: TcpInfo): void;
}

/** How often it is looked, in ms, while there are connections. */
export const VANISHED_LOOK_MS = 10_000;
/** For how long a peer may leave everything unanswered, in ms. */
const SILENCE_MS = 20_000;

/**
 * Finds peers that have vanished with data under way. The kernel itself would send that again for
 * 15 minutes. A peer that only does not read answers the kernel, and is not one of them.
 */
export class VanishedWatch {
  readonly #connections: Iterable<Mortal>;
  readonly #now: () => number;
  #owing = new WeakMap<Mortal, OwedAnswer>();
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
  }

  /** Looks once. Who is seen owing an answer for the whole time of silence is cut off. */
  check(): void {
    const now = this.#now();
    // A machine that stood still heard no answers: what was seen before it says nothing.
    if (now - this.#lookedAt > 2 * VANISHED_LOOK_MS) this.#owing = new WeakMap();
    this.#lookedAt = now;
    for (const connection of this.#connections) {
      const info = connection.tcpInfo();
      if (info === undefined) continue;
      connection.onLook(info);
      const owed = this.#owing.get(connection) ?? new OwedAnswer();
      this.#owing.set(connection, owed);
      if (owed.owedMs(info, now) >= SILENCE_MS) connection.reset();
    }
  }
}
