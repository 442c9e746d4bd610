import { OffsetError } from "../errors.ts";
import type { LogCursor, LogEntry, SpilledEntry } from "./log-entry.ts";
import { noOffsets, type Offsets, OUTPUT_KINDS } from "./offsets.ts";
import { type OutputKind, PIPE_CHUNK_BYTES } from "./output.ts";
import { Runs } from "./runs.ts";
import { Spill, type SpillOptions } from "./spill.ts";

/** What happens when a log is full: the oldest goes, or the process waits for an acknowledgement. */
export type WhenFull = "drop-oldest" | "wait";

/** How a process's log is kept. */
export interface LogOptions {
  /** The most bytes it holds; more only while a process that waits is drained at its end. */
  capacityBytes: number;
  whenFull: WhenFull;
  /** Where that goes which is no longer held in memory; not for a process that waits. */
  spill?: SpillOptions | undefined;
}

/** What a log holds when nothing else is asked for. */
export const DEFAULT_LOG_BYTES = 1024 * 1024;
/** The least: a chunk that arrives must not push out all that its viewers have not read. */
export const LEAST_LOG_BYTES = 64 * 1024;
/** The most that can be asked for. */
export const MOST_LOG_BYTES = 64 * 1024 * 1024;
/** The most changes from one output to another that are remembered, and with them the order. */
const MOST_RUNS = 16_384;
/** The same where a file keeps more bytes than memory would. */
const MOST_SPILLED_RUNS = 65_536;

/**
 * The latest output of a process in the order it arrived, with the offset of every byte: a ring
 * that takes no more memory than was written.
 */
export class OutputLog {
  readonly #options: LogOptions;
  readonly #runs = new Runs();
  readonly #ends: Offsets = noOffsets();
  readonly #acknowledged: Offsets = noOffsets();
  #storage = Buffer.alloc(0);
  /** Where the bytes begin that it has; those from `#memoryStart` on are in memory. */
  #start = 0;
  #memoryStart = 0;
  #end = 0;
  /** Where the bytes begin that must not go; only counts for a process that waits. */
  #pinned = 0;

  readonly #spill: Spill | undefined;
  readonly #mostRuns: number;
  #readers = 0;
  #isForgotten = false;

  /** `onRoom` is called when it is no longer full, but by an acknowledgement. */
  constructor(options: LogOptions, onRoom: () => void = () => {}) {
    this.#options = options;
    if (options.spill !== undefined && options.whenFull !== "wait") {
      const onBroken = () => this.#dropBefore(this.#memoryStart);
      this.#spill = new Spill(options.spill, { onRoom, onBroken });
    }
    this.#mostRuns = this.#spill === undefined ? MOST_RUNS : MOST_SPILLED_RUNS;
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

  /** Whether the process has to wait: the disk is behind, or one more chunk would push out what nobody acknowledged. */
  get isFull(): boolean {
    if (this.#spill?.isBehind === true) return true;
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
    const length = bytes.length;
    this.#runs.append({ kind, offset: this.#ends[kind], position: this.#end, length });
    this.#end += length;
    this.#ends[kind] += length;
    if (this.#runs.length > this.#mostRuns) this.#forgetRuns(this.#mostRuns / 4);
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
    const end = Math.min(until?.position ?? this.#end, this.#end);
    for (;;) {
      const run = cursor.position < end ? this.#runs.at(cursor.position) : undefined;
      if (run === undefined) return undefined;
      const { kind, offset, position, length } = run;
      const skipped = Math.max(cursor.position - position, cursor.offsets[kind] - offset);
      const first = position + skipped;
      const left = Math.min(Math.min(position + length, end) - first, mostBytes);
      if (left <= 0) {
        cursor.position = position + length;
        continue;
      }
      if (first < this.#memoryStart) {
        const size = Math.min(left, this.#memoryStart - first);
        return {
          kind: "spilled",
          output: kind,
          offset: offset + skipped,
          position: first,
          length: size,
        };
      }
      const at = first % this.#storage.length;
      const size = Math.min(left, this.#storage.length - at);
      cursor.position = position + skipped + size;
      cursor.offsets[kind] = offset + skipped + size;
      const bytes = this.#storage.subarray(at, at + size);
      return { kind: "chunk", output: kind, offset: offset + skipped, bytes };
    }
  }

  /** Loads what is in the file: at least one byte of it; `undefined`: it is gone meanwhile. */
  async load({ position, length }: SpilledEntry): Promise<Buffer | undefined> {
    return await this.#spill?.read(position, length);
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
    this.#runs.clear();
    this.#start = this.#end;
    this.#memoryStart = this.#end;
    this.#storage = Buffer.alloc(0);
    this.#spill?.close();
  }

  /** Somebody reads it: its file stays until `leave`. */
  enter(): void {
    this.#readers += 1;
  }

  /** One who has read it reads no more. */
  leave(): void {
    this.#readers -= 1;
    this.#closeWhenUnread();
  }

  /** Nobody will begin to read it any more: its file goes with the last who does. */
  forget(): void {
    this.#isForgotten = true;
    this.#closeWhenUnread();
  }

  #closeWhenUnread(): void {
    if (!this.#isForgotten || this.#readers > 0) return;
    this.#spill?.close();
    this.#dropBefore(this.#memoryStart);
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

  #makeRoom(bytes: number): void {
    const { capacityBytes, whenFull } = this.#options;
    const kept = this.#end - this.#memoryStart;
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
    for (let position = this.#memoryStart; position < this.#end; ) {
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
    const first = this.#runs.get(runs);
    if (first === undefined) return;
    if (first.position > this.#memoryStart) this.#forget(first.position - this.#memoryStart);
    this.#dropBefore(first.position);
  }

  /** The oldest bytes leave the memory, and are gone or go into the file. */
  #forget(bytes: number): void {
    const to = this.#memoryStart + bytes;
    if (this.#spill?.isOpen === true) this.#spillUntil(to, this.#spill);
    this.#memoryStart = to;
    this.#dropBefore(Math.min(to, this.#spill?.start ?? to));
  }

  #spillUntil(to: number, spill: Spill): void {
    for (let position = this.#memoryStart; position < to; ) {
      const at = position % this.#storage.length;
      const size = Math.min(to - position, this.#storage.length - at);
      spill.append(position, Buffer.from(this.#storage.subarray(at, at + size)));
      position += size;
    }
  }

  #dropBefore(position: number): void {
    this.#start = Math.max(this.#start, position);
    this.#runs.dropBefore(this.#start);
  }
}
