import type { OutputKind } from "./output.ts";

/** Bytes of one output that arrived with none of another between. */
export interface Run {
  kind: OutputKind;
  /** Where it begins in its output. */
  offset: number;
  /** Where it begins among all the bytes of the log. */
  position: number;
  length: number;
}

/** Which bytes of a log belong to which output, in the order they arrived. */
export class Runs {
  readonly #runs: Run[] = [];

  /** How many there are. */
  get length(): number {
    return this.#runs.length;
  }

  /** Adds what has arrived; it may go on what arrived before. */
  append(run: Run): void {
    const last = this.#runs.at(-1);
    if (last?.kind === run.kind) last.length += run.length;
    else this.#runs.push(run);
  }

  /** The run after `index` others. */
  get(index: number): Run | undefined {
    return this.#runs[index];
  }

  /** The first that `is`. */
  find(is: (run: Run) => boolean): Run | undefined {
    return this.#runs.find(is);
  }

  /** The run that has `position`, or the next one; the last one when that lies beyond. */
  at(position: number): Run | undefined {
    let low = 0;
    let high = this.#runs.length - 1;
    while (low < high) {
      const middle = (low + high + 1) >> 1;
      if ((this.#runs[middle]?.position ?? 0) <= position) low = middle;
      else high = middle - 1;
    }
    return this.#runs[low];
  }

  /** Forgets what lies before `position`. */
  dropBefore(position: number): void {
    let gone = 0;
    for (const run of this.#runs) {
      const past = position - run.position;
      if (past < run.length) {
        if (past > 0) Object.assign(run, trimmed(run, past));
        break;
      }
      gone += 1;
    }
    if (gone > 0) this.#runs.splice(0, gone);
  }

  /** Forgets all. */
  clear(): void {
    this.#runs.length = 0;
  }
}

function trimmed({ offset, position, length }: Run, bytes: number): Omit<Run, "kind"> {
  return { offset: offset + bytes, position: position + bytes, length: length - bytes };
}
