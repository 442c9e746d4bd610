import { Output, PIPE_CHUNK_BYTES } from "./output.ts";
import type { ProcessEvent } from "./viewer.ts";

/** With fewer events nothing is put together: whoever reads at all soon has them. */
const FEW_EVENTS = 1_024;
/** How many of those that were taken stay in the row before it closes up. */
const MOST_TAKEN = 1_000;

/**
 * What waits for a viewer, in its order. A piece of output costs the same however small it is, so
 * small ones that wait are put together.
 */
export class EventQueue {
  readonly #events: ProcessEvent[] = [];
  #taken = 0;
  #joinAt = FEW_EVENTS;

  /** How many there are. */
  get length(): number {
    return this.#events.length - this.#taken;
  }

  /** Adds `event`, which holds its output. */
  push(event: ProcessEvent): void {
    this.#events.push(event);
    if (this.length < this.#joinAt) return;
    this.#join();
    // Each event is looked at once for each that was added, however many stay.
    this.#joinAt = 2 * this.length + FEW_EVENTS;
  }

  /** The next one, which leaves the queue. */
  take(): ProcessEvent | undefined {
    const event = this.#events[this.#taken];
    if (event === undefined) return undefined;
    this.#taken += 1;
    if (this.length === 0 || this.#taken > MOST_TAKEN) this.#closeUp();
    return event;
  }

  /** Drops all. */
  clear(): void {
    this.#closeUp();
    for (const event of this.#events) if (event.kind === "output") event.output.release();
    this.#events.length = 0;
  }

  #closeUp(): void {
    this.#events.splice(0, this.#taken);
    this.#taken = 0;
  }

  #join(): void {
    const events = this.#events.splice(0).slice(this.#taken);
    this.#taken = 0;
    const pieces: Output[] = [];
    let size = 0;
    for (const event of events) {
      const output = event.kind === "output" ? event.output : undefined;
      const isNext = output?.kind === pieces[0]?.kind;
      if (!isNext || size + (output?.size ?? 0) > PIPE_CHUNK_BYTES) {
        this.#add(pieces.splice(0));
        size = 0;
      }
      if (output === undefined) this.#events.push(event);
      else pieces.push(output);
      size += output?.size ?? 0;
    }
    this.#add(pieces);
  }

  #add(pieces: Output[]): void {
    const [first] = pieces;
    if (first === undefined) return;
    const output = pieces.length === 1 ? first : joined(first.kind, pieces);
    this.#events.push({ kind: "output", output });
  }
}

/** One piece instead of several, which are let go. */
function joined(kind: Output["kind"], pieces: readonly Output[]): Output {
  const output = new Output(kind, Buffer.concat(pieces.map(({ bytes }) => bytes)));
  for (const piece of pieces) piece.release();
  return output;
}
