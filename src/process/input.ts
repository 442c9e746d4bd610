import type { Socket } from "node:net";
import { AgentError, OffsetError } from "../errors.ts";

/** The most input that may wait for one process; beyond it a write is refused. */
const WAITING_BYTES = 64 * 1024 * 1024;
/** The most writers whose offsets are remembered; the one that was silent longest is forgotten. */
const WRITERS = 256;

/** Where bytes belong: `offset` counts what `writer` has written, or all input when it is "". */
export interface InputPlace {
  offset: number;
  writer: string;
}

interface Write {
  bytes: Uint8Array;
  resolve: () => void;
  reject: (reason: Error) => void;
}

/**
 * Writes to a process in the order of the calls. A process that does not read holds up only the
 * callers that write to it.
 */
export class Input {
  readonly #socket: Socket;
  readonly #waiting: Write[] = [];
  #current: Write | undefined;
  #waitingBytes = 0;
  /** How many bytes were ever taken from callers, and how many of those the machine has. */
  #acceptedBytes = 0;
  #writtenBytes = 0;
  /** Bytes that were given offsets are not taken back: who counts them may have gone on. */
  #isCounted = false;
  /** How many bytes were accepted of each writer that has a name. */
  readonly #byWriter = new Map<string, number>();
  #failure: Error | undefined;
  #isClosing = false;

  /** `socket` belongs to whoever made it; `close` ends it. */
  constructor(socket: Socket) {
    this.#socket = socket;
    socket.on("error", (reason) => this.#fail(reason));
    socket.once("close", () => this.#fail(new Error("closed")));
  }

  /** How many bytes the machine has taken. */
  get writtenBytes(): number {
    return this.#writtenBytes;
  }

  /** Whether nothing can be written any more because `close` was called. */
  get isClosed(): boolean {
    return this.#isClosing;
  }

  /**
   * The same for bytes that belong at `place`. Those that were accepted before are left out, and the
   * promise resolves with the offset that follows once the machine has all of them. Throws
   * `OffsetError` when there would be a hole.
   */
  async writeAt(place: InputPlace, bytes: Uint8Array, signal: AbortSignal): Promise<number> {
    const { offset, writer } = place;
    const expected = writer === "" ? this.#acceptedBytes : (this.#byWriter.get(writer) ?? 0);
    if (offset > expected) {
      const message = `the input has come to offset ${expected}: bytes for offset ${offset} would leave a hole`;
      throw new OffsetError(message, expected);
    }
    this.#isCounted = true;
    const end = offset + bytes.length;
    const fresh = bytes.subarray(Math.min(bytes.length, expected - offset));
    if (fresh.length > 0) await this.#writeOf(writer, end, fresh, signal);
    else if (this.#isUnwritten(place, bytes)) await this.#whenWritten(signal);
    return Math.max(end, expected);
  }

  #writeOf(writer: string, end: number, bytes: Uint8Array, signal: AbortSignal): Promise<void> {
    const before = this.#acceptedBytes;
    const written = this.write(bytes, signal);
    if (writer !== "" && this.#acceptedBytes > before) {
      this.#byWriter.delete(writer);
      this.#byWriter.set(writer, end);
      const [oldest] = this.#byWriter.keys();
      if (this.#byWriter.size > WRITERS && oldest !== undefined) this.#byWriter.delete(oldest);
    }
    return written;
  }

  /** Whether the machine may not have all of these bytes yet, which were accepted before. */
  #isUnwritten({ offset, writer }: InputPlace, bytes: Uint8Array): boolean {
    if (bytes.length === 0) return false;
    // Where a writer's bytes lie among those of others is not known: all of them must be written.
    const end = writer === "" ? offset + bytes.length : this.#acceptedBytes;
    return this.#writtenBytes < end;
  }

  /**
   * Resolves once the machine has taken all of `bytes`. An aborted write that has not begun is
   * taken back; one that has begun goes on, as half of it cannot be taken back.
   */
  write(bytes: Uint8Array, signal: AbortSignal): Promise<void> {
    signal.throwIfAborted();
    if (this.#failure !== undefined) return Promise.reject(this.#failure);
    if (bytes.length === 0) return Promise.resolve();
    if (this.#isClosing) return Promise.reject(new Error("closed"));
    if (this.#waitingBytes + bytes.length > WAITING_BYTES) {
      const message = `${this.#waitingBytes} bytes already wait for this process to read: write again when it has read them`;
      return Promise.reject(new AgentError("exhausted", message));
    }
    this.#acceptedBytes += bytes.length;
    this.#waitingBytes += bytes.length;
    return this.#enqueue(bytes, signal);
  }

  /** Resolves when the machine has taken all that was accepted before. */
  #whenWritten(signal: AbortSignal): Promise<void> {
    signal.throwIfAborted();
    if (this.#failure !== undefined) return Promise.reject(this.#failure);
    return this.#enqueue(new Uint8Array(), signal);
  }

  #enqueue(bytes: Uint8Array, signal: AbortSignal): Promise<void> {
    return new Promise((resolve, reject) => {
      const onAbort = () => this.#takeBack(write, signal.reason as Error);
      const settle = (act: () => void) => {
        signal.removeEventListener("abort", onAbort);
        act();
      };
      const write: Write = {
        bytes,
        resolve: () => settle(resolve),
        reject: (reason) => settle(() => reject(reason)),
      };
      signal.addEventListener("abort", onAbort);
      this.#waiting.push(write);
      this.#next();
    });
  }

  /** Gives the process end of file after what waits already. */
  close(): void {
    this.#isClosing = true;
    this.#next();
  }

  /** Closes now. What still waits fails. */
  destroy(): void {
    this.#isClosing = true;
    this.#socket.destroy();
  }

  #next(): void {
    if (this.#current !== undefined) return;
    const write = this.#waiting.shift();
    if (write === undefined) {
      if (this.#isClosing) this.#socket.destroy();
      return;
    }
    this.#current = write;
    if (write.bytes.length === 0) {
      this.#written(write);
      return;
    }
    this.#socket.write(write.bytes, (reason) => {
      this.#written(write, reason);
    });
  }

  #written(write: Write, reason?: Error | null): void {
    this.#current = undefined;
    this.#waitingBytes -= write.bytes.length;
    if (reason == null) {
      this.#writtenBytes += write.bytes.length;
      write.resolve();
    } else {
      this.#fail(reason, write);
    }
    this.#next();
  }

  #takeBack(write: Write, reason: Error): void {
    const at = this.#isCounted ? -1 : this.#waiting.indexOf(write);
    if (at >= 0) {
      this.#waiting.splice(at, 1);
      this.#acceptedBytes -= write.bytes.length;
      this.#waitingBytes -= write.bytes.length;
    }
    write.reject(reason);
  }

  #fail(reason: Error, current = this.#current): void {
    this.#failure ??= reason;
    current?.reject(this.#failure);
    for (const write of this.#waiting.splice(0)) write.reject(this.#failure);
    this.#waitingBytes = 0;
  }
}
