import type { Connection } from "./connection.ts";

const LOOK_MS = 10_000;
/** For how long a peer may leave everything unanswered, in ms. */
const SILENCE_MS = 20_000;

/**
 * Finds peers that have vanished with data under way. The kernel itself would send that again for
 * 15 minutes. A peer that only does not read answers the kernel, and is not one of them.
 */
export class VanishedWatch {
  readonly #connections: Iterable<Connection>;
  #timer: NodeJS.Timeout | undefined;

  constructor(connections: Iterable<Connection>) {
    this.#connections = connections;
  }

  /** Looks from time to time, or stops to. */
  run(isRunning: boolean): void {
    clearInterval(this.#timer);
    this.#timer = isRunning ? setInterval(() => this.check(), LOOK_MS).unref() : undefined;
  }

  /** Looks once. */
  check(): void {
    for (const connection of this.#connections) {
      const info = connection.tcpInfo();
      if (info === undefined || info.unacked === 0) continue;
      const silentMs = Math.min(info.lastAckReceivedMs, info.lastDataReceivedMs);
      if (silentMs > SILENCE_MS) connection.reset();
    }
  }
}
