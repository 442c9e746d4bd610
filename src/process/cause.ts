import { constants } from "node:os";
import type { EndFacts, ProcessEnd } from "./exit.ts";
import { SIGKILL } from "./signalling.ts";

/** Who sends one of these wants the process to end. */
export const ENDING_SIGNALS: ReadonlySet<number> = new Set([constants.signals.SIGTERM, SIGKILL]);

/** What the agent has done to end a process, and whether that is what has ended it. */
export class Cause {
  /** The numbers of the signals that the agent has sent. */
  readonly #sent = new Set<number>();
  #isTimedOut = false;
  #isKilledByAgent = false;
  #isSettled = false;

  /** Whether the agent has sent a signal that is meant to end it. */
  get isAskedFor(): boolean {
    return [...this.#sent].some((number) => ENDING_SIGNALS.has(number));
  }

  /** For those who ask about the end. */
  get facts(): Pick<EndFacts, "isTimedOut" | "isKilledByAgent"> {
    return { isTimedOut: this.#isTimedOut, isKilledByAgent: this.#isKilledByAgent };
  }

  /** The agent sends this signal. */
  add(signal: number): void {
    this.#sent.add(signal);
  }

  /** Its life-time is over. */
  timeOut(): void {
    if (!this.#isSettled) this.#isTimedOut = true;
  }

  /** It has ended so: what is sent from now on goes to those it has left, or is too late. */
  settle({ signal }: ProcessEnd): void {
    this.#isSettled = true;
    this.#isKilledByAgent = signal !== undefined && this.#sent.has(signal);
    this.#isTimedOut &&= this.#isKilledByAgent;
  }
}
