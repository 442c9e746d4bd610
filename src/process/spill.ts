import { constants } from "node:fs";
import { type FileHandle, open, unlink } from "node:fs/promises";
import { join } from "node:path";
import { randomText } from "../system/random.ts";

/** Not among Node's constants; part of it is O_DIRECTORY, which machines number differently. */
const O_TMPFILE = 0o20000000 | constants.O_DIRECTORY;
/** The most that is written at once. */
const BATCH_BYTES = 1024 * 1024;
/** With this much to be written the process waits for the disk. */
const BEHIND_BYTES = 4 * 1024 * 1024;

/** Where output goes that a log no longer holds in memory. */
export interface SpillOptions {
  /** A directory with room. */
  directory: string;
  /** The most bytes that are kept; the oldest make room. */
  capacityBytes: number;
}

/** What a spill tells its log. */
export interface SpillHooks {
  /** It is no longer behind. */
  onRoom: () => void;
  /** The disk is full or broken: it has nothing and takes nothing any more. */
  onBroken: () => void;
}

interface Piece {
  position: number;
  bytes: Buffer;
}

/** Bytes in a file without a name, which is used as a ring. Never blocks the event loop. */
export class Spill {
  readonly #options: SpillOptions;
  readonly #hooks: SpillHooks;
  /** Pieces that are not in the file yet, in a row. */
  #waiting: Piece[] = [];
  #waitingBytes = 0;
  #handle: FileHandle | undefined;
  #first: number | undefined;
  #end = 0;
  #isWriting = false;
  #isClosed = false;

  constructor(options: SpillOptions, hooks: SpillHooks) {
    this.#options = options;
    this.#hooks = hooks;
  }

  /** The position of the oldest byte it has; `undefined` when it has none. */
  get start(): number | undefined {
    if (this.#first === undefined || this.#isClosed) return undefined;
    return Math.max(this.#first, this.#end - this.#options.capacityBytes);
  }

  /** Whether it takes anything. */
  get isOpen(): boolean {
    return !this.#isClosed;
  }

  /** Whether whoever writes should wait. */
  get isBehind(): boolean {
    return this.#waitingBytes > BEHIND_BYTES;
  }

  /** Takes `bytes`, which follow those before and are not changed any more. */
  append(position: number, bytes: Buffer): void {
    if (this.#isClosed) return;
    this.#first ??= position;
    this.#end = position + bytes.length;
    this.#waiting.push({ position, bytes });
    this.#waitingBytes += bytes.length;
    if (!this.#isWriting) void this.#write();
  }

  /** At least one and at most `length` bytes from `position`; `undefined`: they are gone. */
  async read(position: number, length: number): Promise<Buffer | undefined> {
    if (!this.#has(position)) return undefined;
    const waiting = this.#waiting.find((one) => position < one.position + one.bytes.length);
    if (waiting !== undefined && position >= waiting.position) {
      const at = position - waiting.position;
      return waiting.bytes.subarray(at, at + length);
    }
    const written = this.#waiting[0]?.position ?? this.#end;
    const at = position % this.#options.capacityBytes;
    const size = Math.min(length, written - position, this.#options.capacityBytes - at);
    try {
      const buffer = Buffer.allocUnsafe(size);
      const read = await this.#handle?.read(buffer, 0, size, at);
      // Meanwhile others may have been written over them.
      if (read === undefined || read.bytesRead === 0 || !this.#has(position)) return undefined;
      return buffer.subarray(0, read.bytesRead);
    } catch {
      this.#break();
      return undefined;
    }
  }

  /** Lets go of the file. */
  close(): void {
    this.#isClosed = true;
    this.#waiting = [];
    this.#waitingBytes = 0;
    if (this.#isWriting) return;
    const handle = this.#handle;
    this.#handle = undefined;
    // Reads that are under way come to their end first.
    handle?.close().catch(() => {});
  }

  #has(position: number): boolean {
    return this.start !== undefined && position >= this.start && position < this.#end;
  }

  #break(): void {
    if (this.#isClosed) return;
    this.close();
    this.#hooks.onBroken();
    this.#hooks.onRoom();
  }

  async #write(): Promise<void> {
    this.#isWriting = true;
    try {
      this.#handle ??= await openNameless(this.#options.directory);
      while (this.#waiting.length > 0) await this.#writeBatch(this.#handle);
    } catch {
      this.#break();
    } finally {
      this.#isWriting = false;
      if (this.#isClosed) this.close();
    }
  }

  async #writeBatch(handle: FileHandle): Promise<void> {
    const pieces: Piece[] = [];
    let size = 0;
    for (const piece of this.#waiting) {
      if (size > 0 && size + piece.bytes.length > BATCH_BYTES) break;
      pieces.push(piece);
      size += piece.bytes.length;
    }
    const bytes = Buffer.concat(pieces.map((piece) => piece.bytes));
    await this.#writeAt(handle, pieces[0]?.position ?? 0, bytes);
    if (this.#isClosed) return;
    const wasBehind = this.isBehind;
    this.#waiting.splice(0, pieces.length);
    this.#waitingBytes -= size;
    if (wasBehind && !this.isBehind) this.#hooks.onRoom();
  }

  async #writeAt(handle: FileHandle, position: number, bytes: Buffer): Promise<void> {
    for (let done = 0; done < bytes.length && !this.#isClosed; ) {
      const at = (position + done) % this.#options.capacityBytes;
      const size = Math.min(bytes.length - done, this.#options.capacityBytes - at);
      done += (await handle.write(bytes, done, size, at)).bytesWritten;
    }
  }
}

/** A file that goes when it is closed. */
async function openNameless(directory: string): Promise<FileHandle> {
  try {
    return await open(directory, O_TMPFILE | constants.O_RDWR, 0o600);
  } catch {
    // Not every file system has such files.
    const path = join(directory, `.thaw-${randomText(16)}`);
    const handle = await open(path, "wx+", 0o600);
    await unlink(path);
    return handle;
  }
}
