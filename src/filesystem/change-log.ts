import type { RawPath } from "./raw-path.ts";
import type { ChangeKind } from "./watch-tree.ts";

/** A change as the kernel told it. */
export interface RawChange {
  kind: ChangeKind;
  /** Relative to the watched directory; "" is the directory itself. */
  name: RawPath;
}

/** What a reader of a log gets. */
export interface LogPage {
  /** In order, without a hole. */
  changes: RawChange[];
  /** The number of the change before the first of them. */
  after: number;
  /** Whether some between what was asked for and `after` are not there any more. */
  isLost: boolean;
}

/**
 * The latest changes of a directory, numbered from 1, for readers that come back. What is dropped,
 * the oldest first, is told to who asks for it.
 */
export class ChangeLog {
  readonly #most: number;
  #changes: RawChange[] = [];
  #dropped = 0;

  /** `most`: how many changes are kept. */
  constructor(most: number) {
    this.#most = most;
  }

  /** The number of the latest change; 0 when there was none. */
  get last(): number {
    return this.#dropped + this.#changes.length;
  }

  push(change: RawChange): void {
    this.#changes.push(change);
    // Not one by one: each would move all others.
    if (this.#changes.length >= 2 * this.#most) this.#drop(this.#changes.length - this.#most);
  }

  /** Something happened that nobody can tell: whoever has not read on so far has lost it. */
  lose(): void {
    this.#drop(this.#changes.length);
    this.#dropped += 1;
  }

  /** What came after the change with the number `sequence`, at most `most`. */
  read(sequence: number, most: number): LogPage {
    const oldest = Math.max(this.#dropped, this.last - this.#most);
    const after = Math.max(sequence, oldest);
    const from = after - this.#dropped;
    const changes = this.#changes.slice(from, from + most);
    return { changes, after, isLost: after > sequence };
  }

  #drop(count: number): void {
    this.#changes.splice(0, count);
    this.#dropped += count;
  }
}
