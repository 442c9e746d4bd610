import { OffsetError } from "../errors.ts";
import { type OutputKind, PIPE_CHUNK_BYTES } from "./output.ts";

/** A place in each output of a process, in bytes since its start. */
export type Offsets = Record<OutputKind, number>;

/** What happens when a log is full: the oldest goes, or the process waits for an acknowledgement. */
export type WhenFull = "drop-oldest" | "wait";

/** How a process's log is kept. */
export interface LogOptions {
  /** The most bytes it holds; more only while a process that waits is drained at its end. */
  capacityBytes: number;
  whenFull: WhenFull;
}

/** What a log holds when nothing else is asked for. */
export const DEFAULT_LOG_BYTES = 1024 * 1024;
/** The least: a chunk that arrives must not push out all that its viewers have not read. */
export const LEAST_LOG_BYTES = 64 * 1024;
/** The most that can be asked for. */
export const MOST_LOG_BYTES = 64 * 1024 * 1024;
/** The most changes from one output to another that are remembered, and with them the order. */
const MOST_RUNS = 16_384;
/** Every output there can be. */
export const OUTPUT_KINDS = ["stdout", "stderr", "pty"] as const satisfies OutputKind[];

/** Bytes of one output that arrived with none of another between. */
interface Run {
  kind: OutputKind;
  /** Where it begins in its output. */
  offset: number;
  /** Where it begins among all the bytes of the log. */
  position: number;
  length: number;
}

/** How far a viewer has read. */
export interface LogCursor {
  /** Among all the bytes of the log. */
  position: number;
  /** In each output; what lies before is not read. */
  offsets: Offsets;
}

/** What a log has for a viewer. `bytes` are valid until the next append. */
export type LogEntry =
  | { kind: "chunk"; output: OutputKind; offset: number; bytes: Uint8Array }
  | { kind: "gap"; output: OutputKind; from: number; to: number };

/**
 * The latest output of a process in the order it arrived, with the offset of every byte: a ring
 * that takes no more memory than was written.
 */
export class OutputLog {
  readonly #options: LogOptions;
  readonly #runs: Run[] = [];
  readonly #ends: Offsets = noOffsets();
  readonly #acknowledged: Offsets = noOffsets();
  #storage = Buffer.alloc(0);
  #start = 0;
  #end = 0;
  /** Where the bytes begin that must not go; only counts for a process that waits. */
  #pinned = 0;

  constructor(options: LogOptions) {
    this.#options = options;
  }

  /** The position that comes next, and so how many bytes the process has written. */
  get end(): number {
    return this.#end;
  }

  /** How much it holds at most. */
  get capacityBytes(): number {
    return this.#options.capacityBytes;
  }

  /** How many bytes of each output the process has written. */
  get offsets(): Offsets {
    return { ...this.#ends };
  }

  /** How much memory it takes. */
  get storedBytes(): number {
    return this.#storage.length;
  }

  /** Whether the process has to wait: one more chunk would push out what nobody acknowledged. */
  get isFull(): boolean {
    if (this.#options.whenFull !== "wait") return false;
    const pinnedBytes = this.#end - this.#pinned;
    return pinnedBytes + PIPE_CHUNK_BYTES > this.capacityBytes || this.#runs.length > MOST_RUNS / 2;
  }

  /** Copies `bytes`, which are at most one chunk, and forgets the oldest if it must. */
  append(kind: OutputKind, bytes: Uint8Array): void {
    this.#makeRoom(bytes.length);
    const at = this.#end % this.#storage.length;
    const first = Math.min(bytes.length, this.#storage.length - at);
    this.#storage.set(first === bytes.length ? bytes : bytes.subarray(0, first), at);
    if (first < bytes.length) this.#storage.set(bytes.subarray(first), 0);
    const last = this.#runs.at(-1);
    const length = bytes.length;
    if (last?.kind === kind) last.length += length;
    else this.#runs.push({ kind, offset: this.#ends[kind], position: this.#end, length });
    this.#end += length;
    this.#ends[kind] += length;
    if (this.#runs.length > MOST_RUNS) this.#forgetRuns(MOST_RUNS / 4);
  }

  /** A cursor at these offsets. Throws `OffsetError` for one that has not been written yet. */
  cursor(offsets: Offsets): LogCursor {
    for (const kind of OUTPUT_KINDS) {
      const end = this.#ends[kind];
      if (offsets[kind] <= end) continue;
      const message = `the process has written ${end} bytes to ${kind}: there is no offset ${offsets[kind]} yet`;
      throw new OffsetError(message, end);
    }
    return { position: 0, offsets: { ...offsets } };
  }

  /** A cursor at what comes next. */
  endCursor(): LogCursor {
    return { position: this.#end, offsets: this.offsets };
  }

  /**
   * What comes next for `cursor`, at most `mostBytes`, and moves it on; `undefined` at the end, or
   * at `until`.
   */
  read(cursor: LogCursor, mostBytes: number, until?: LogCursor): LogEntry | undefined {
    const gap = this.#gap(cursor, until?.offsets ?? this.#ends);
    if (gap !== undefined) return gap;
    const end = until?.position ?? this.#end;
    for (;;) {
      const run = cursor.position < end ? this.#runAt(cursor.position) : undefined;
      if (run === undefined) return undefined;
      const { kind, offset, position, length } = run;
      const skipped = Math.max(cursor.position - position, cursor.offsets[kind] - offset);
      const at = (position + skipped) % this.#storage.length;
      const left = Math.min(position + length, end) - (position + skipped);
      const size = Math.min(left, mostBytes, this.#storage.length - at);
      if (size <= 0) {
        cursor.position = position + length;
        continue;
      }
      cursor.position = position + skipped + size;
      cursor.offsets[kind] = offset + skipped + size;
      const bytes = this.#storage.subarray(at, at + size);
      return { kind: "chunk", output: kind, offset: offset + skipped, bytes };
    }
  }

  /** All before `offsets` may go. Throws `OffsetError` for what has not been written yet. */
  acknowledge(offsets: Offsets): void {
    this.cursor(offsets);
    for (const kind of OUTPUT_KINDS) {
      this.#acknowledged[kind] = Math.max(this.#acknowledged[kind], offsets[kind]);
    }
    const first = this.#runs.find(
      ({ kind, offset, length }) => offset + length > this.#acknowledged[kind],
    );
    this.#pinned = this.#end;
    if (first !== undefined) {
      this.#pinned = first.position + Math.max(0, this.#acknowledged[first.kind] - first.offset);
    }
    // A full one may be full of changes between outputs.
    if (this.#options.whenFull === "wait") this.#forget(this.#pinned - this.#start);
  }

  /** Forgets all the bytes, not how many there were. */
  clear(): void {
    this.#runs.length = 0;
    this.#start = this.#end;
    this.#storage = Buffer.alloc(0);
  }

  /** What `cursor` has missed, one output at a time. */
  #gap(cursor: LogCursor, ends: Offsets): LogEntry | undefined {
    if (cursor.position >= this.#start) return undefined;
    for (const output of OUTPUT_KINDS) {
      const from = cursor.offsets[output];
      const first = this.#runs.find(({ kind }) => kind === output)?.offset ?? this.#ends[output];
      const to = Math.min(first, ends[output]);
      if (from >= to) continue;
      cursor.offsets[output] = to;
      return { kind: "gap", output, from, to };
    }
    cursor.position = this.#start;
    return undefined;
  }

  #runAt(position: number): Run | undefined {
    if (position >= this.#end) return undefined;
    let low = 0;
    let high = this.#runs.length - 1;
    while (low < high) {
      const middle = (low + high + 1) >> 1;
      if ((this.#runs[middle]?.position ?? 0) <= position) low = middle;
      else high = middle - 1;
    }
    return this.#runs[low];
  }

  #makeRoom(bytes: number): void {
    const { capacityBytes, whenFull } = this.#options;
    const kept = this.#end - this.#start;
    const isPinned = whenFull === "wait" && this.#end - this.#pinned + bytes > capacityBytes;
    const most = isPinned ? Number.POSITIVE_INFINITY : capacityBytes;
    if (kept + bytes > this.#storage.length && this.#storage.length < most) {
      this.#grow(Math.min(most, 2 ** Math.ceil(Math.log2(Math.max(512, kept + bytes)))));
    }
    const excess = kept + bytes - this.#storage.length;
    if (excess > 0) this.#forget(excess);
  }

  #grow(bytes: number): void {
    const storage = Buffer.allocUnsafeSlow(bytes);
    for (let position = this.#start; position < this.#end; ) {
      const from = position % this.#storage.length;
      const to = position % bytes;
      const size = Math.min(this.#end - position, this.#storage.length - from, storage.length - to);
      storage.set(this.#storage.subarray(from, from + size), to);
      position += size;
    }
    this.#storage = storage;
  }

  /** Many at once, as they stand in a row that has to close up. */
  #forgetRuns(runs: number): void {
    const first = this.#runs[runs];
    if (first !== undefined) this.#forget(first.position - this.#start);
  }

  #forget(bytes: number): void {
    this.#start += bytes;
    let gone = 0;
    for (const run of this.#runs) {
      const past = this.#start - run.position;
      if (past < run.length) {
        if (past > 0) Object.assign(run, trimmed(run, past));
        break;
      }
      gone += 1;
    }
    if (gone > 0) this.#runs.splice(0, gone);
  }
}

/** The beginning of every output. */
export function noOffsets(): Offsets {
  return { stdout: 0, stderr: 0, pty: 0 };
}

function trimmed({ offset, position, length }: Run, bytes: number): Omit<Run, "kind"> {
  return { offset: offset + bytes, position: position + bytes, length: length - bytes };
}
