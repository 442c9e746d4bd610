import type { TcpInfo } from "../system/tcp.ts";

/** The kernel's clock ticks every 4 or 10 ms; an answer is one when it is later by more. */
const TICK_MS = 20;

/** One may be lost on its way, and the kernel asks a closed window again after up to two minutes. */
const CERTAIN_PROBES = 2;

/** For how long the system of a peer has not answered what it was sent, or asked. */
export class OwedAnswer {
  #since: number | undefined;

  /**
   * How long it has been seen to owe an answer at the time `now`, in ms: not for how long it was
   * silent, as somebody who is asked after a long silence may take a moment.
   */
  owedMs(info: TcpInfo, now: number): number {
    const owes = info.unacked > 0 || info.unansweredProbes >= CERTAIN_PROBES;
    const silentMs = Math.min(info.lastAckReceivedMs, info.lastDataReceivedMs);
    const hasAnswered = this.#since !== undefined && silentMs + TICK_MS < now - this.#since;
    if (!owes) this.#since = undefined;
    else if (this.#since === undefined || hasAnswered) this.#since = now;
    return this.#since === undefined ? 0 : now - this.#since;
  }
}
