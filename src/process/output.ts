import { readSync } from "node:fs";
import type { Socket } from "node:net";
import { adoptDescriptor, openDescriptor, type ReadInto } from "../system/descriptors.ts";

/** Which of a process's outputs bytes came from. */
export type OutputKind = "stdout" | "stderr" | "pty";

/** Bytes reserved in front of every chunk, so that a frame's header can stand right before it. */
export const HEADROOM_BYTES = 24;

/** The most a pipe is read at once; the envd contract's bound for one data event. */
const PIPE_CHUNK_BYTES = 32_768;
/** The same for a terminal. */
const PTY_CHUNK_BYTES = 16_384;
/** The most that is read after the end: what a pipe can hold when a program enlarged it. */
const DRAIN_BYTES = 1 << 20;

/** Every read of every process lands here and is copied at once, so an idle one holds no buffer. */
const landing = Buffer.allocUnsafeSlow(PIPE_CHUNK_BYTES);

/** One piece of output, shared by all its viewers together with what it looks like on the wire. */
export class Output {
  readonly kind: OutputKind;
  /** `HEADROOM_BYTES` of free space, then the bytes. */
  readonly storage: Buffer;
  /** The chunk as a frame, by codec, made at first use. */
  readonly frames: { proto?: Uint8Array; json?: Uint8Array } = {};

  /** Copies `bytes`. */
  constructor(kind: OutputKind, bytes: Uint8Array) {
    this.kind = kind;
    this.storage = Buffer.allocUnsafe(HEADROOM_BYTES + bytes.length);
    this.storage.set(bytes, HEADROOM_BYTES);
  }

  /** How many bytes the process wrote. */
  get size(): number {
    return this.storage.length - HEADROOM_BYTES;
  }

  /** The bytes the process wrote. */
  get bytes(): Buffer {
    return this.storage.subarray(HEADROOM_BYTES);
  }
}

/** Where a reader delivers. */
export interface OutputSink {
  /** Takes a chunk and says whether more is wanted; `false` pauses until `resume()`. */
  onOutput(output: Output): boolean;
  /** The end of this output; nothing follows. */
  onEnd(): void;
}

/** Reads one output of a process until its end. Owns the descriptor. */
export class OutputReader {
  readonly #kind: OutputKind;
  readonly #sink: OutputSink;
  readonly #socket: Socket;
  #fd: number;

  constructor(kind: OutputKind, fd: number, sink: OutputSink) {
    this.#kind = kind;
    this.#sink = sink;
    const into: ReadInto = {
      buffer: kind === "pty" ? landing.subarray(0, PTY_CHUNK_BYTES) : landing,
      onBytes: (bytes) => sink.onOutput(new Output(kind, bytes)),
    };
    if (kind === "pty") {
      const adopted = adoptDescriptor(fd, into);
      this.#socket = adopted.socket;
      this.#fd = adopted.fd;
    } else {
      this.#socket = openDescriptor(fd, into);
      this.#fd = fd;
    }
    // A terminal's master fails with EIO once nobody holds the other side: its end of file. The
    // descriptor is closed by then, and others may get its number before "close" is told.
    this.#socket.on("error", () => this.#end());
    this.#socket.once("end", () => this.#end());
    this.#socket.once("close", () => this.#end());
    this.#socket.resume();
  }

  /** The terminal's descriptor and duplex stream while it is open. */
  get terminal(): { fd: number; socket: Socket } | undefined {
    return this.#fd < 0 || this.#kind !== "pty"
      ? undefined
      : { fd: this.#fd, socket: this.#socket };
  }

  /** Reads on after the sink has said `false`. */
  resume(): void {
    if (this.#fd >= 0) this.#socket.resume();
  }

  /** Delivers what has been written until now without waiting for more, then closes. */
  drainAndClose(): void {
    for (let total = 0; this.#fd >= 0 && total < DRAIN_BYTES; ) {
      const size = readNow(this.#fd);
      if (size === 0) break;
      total += size;
      this.#sink.onOutput(new Output(this.#kind, landing.subarray(0, size)));
    }
    this.#end();
  }

  #end(): void {
    if (this.#fd < 0) return;
    this.#fd = -1;
    this.#socket.destroy();
    this.#sink.onEnd();
  }
}

/** Reads what is there; 0 when there is nothing, at the end and after a hang-up. */
function readNow(fd: number): number {
  try {
    return readSync(fd, landing, 0, landing.length, null);
  } catch {
    // EAGAIN: nothing there. EIO: nobody holds the other side.
    return 0;
  }
}
