import type { Client } from "@connectrpc/connect";
import type { Process } from "../../gen/process/process_pb.js";
import type { Offsets } from "./errors.ts";
import { untilAnswered } from "./patience.ts";
import { fromOffsets } from "./process-end.ts";

/** An acknowledgement that is not answered in this time is sent again, in ms. */
const ATTEMPT_MS = 5_000;

interface Safe {
  pid: number;
  viewerId: bigint;
  offsets: Offsets;
}

/** Tells a guest what has arrived, one call at a time; what comes meanwhile is one call more. */
export class Acknowledgement {
  readonly #client: Client<typeof Process>;
  readonly #signal: AbortSignal;
  #latest: Safe | undefined;
  #isSending = false;

  constructor(client: Client<typeof Process>, signal: AbortSignal) {
    this.#client = client;
    this.#signal = signal;
  }

  /** All before `offsets` is with the caller: for the process's log, or for one viewer's window. */
  send(pid: number, offsets: Offsets, viewerId = 0n): void {
    this.#latest = { pid, viewerId, offsets: { ...offsets } };
    if (!this.#isSending) void this.#sendAll();
  }

  async #sendAll(): Promise<void> {
    this.#isSending = true;
    while (this.#latest !== undefined && !this.#signal.aborted) {
      const next = this.#latest;
      this.#latest = undefined;
      try {
        await this.#sendOne(next);
      } catch {
        // The process is gone or the window is another's: nobody waits for room there any more.
      }
    }
    this.#isSending = false;
  }

  async #sendOne({ pid, viewerId, offsets }: Safe): Promise<void> {
    const process = { selector: { case: "pid" as const, value: pid } };
    const request = { process, viewerId, offsets: fromOffsets(offsets) };
    const patience = { attemptMs: ATTEMPT_MS, signal: this.#signal };
    await untilAnswered((options) => this.#client.acknowledgeOutput(request, options), patience);
  }
}
