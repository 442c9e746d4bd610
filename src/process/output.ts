import { readSync } from "node:fs";
import type { Socket } from "node:net";
import { BufferPool } from "../lib/buffer-pool.ts";
import { codeOf } from "../lib/error-text.ts";
import { adoptDescriptor, openDescriptor, type ReadInto } from "../system/descriptors.ts";
import { pipeName, terminalName } from "../system/holders.ts";

/** Which of a process's outputs bytes came from. */
export type OutputKind = "stdout" | "stderr" | "pty";

/** Bytes reserved in front of every chunk, so that a frame's header can stand right before it. */
export const HEADROOM_BYTES = 32;

/** The most a pipe is read at once; the envd contract's bound for one data event. */
export const PIPE_CHUNK_BYTES = 32_768;
/** The same for a terminal. */
const PTY_CHUNK_BYTES = 16_384;
/** The most that is read after the end: what a pipe can hold when a program enlarged it. */
const DRAIN_BYTES = 1 << 20;

/** Every read of every process lands here and is copied at once, so an idle one holds no buffer. */
const landing = Buffer.allocUnsafeSlow(PIPE_CHUNK_BYTES);

/** Smaller chunks get memory of their own size: a reused one would hold much more than they need. */
const POOLED_ABOVE_BYTES = PIPE_CHUNK_BYTES / 2;
/** As many idle buffers as one viewer has on their way at full rate. */
const POOLED = 32;
const storages = new BufferPool(HEADROOM_BYTES + PIPE_CHUNK_BYTES, POOLED);
/** Room for the largest chunk in base64 with a frame's few words around it. */
const TEXT_BYTES = Math.ceil(PIPE_CHUNK_BYTES / 3) * 4 + 96;
const texts = new BufferPool(TEXT_BYTES, POOLED);

/**
 * One piece of output, shared by all its viewers together with what it looks like on the wire.
 * Its memory is used again once everybody who holds it has let go; who never does leaves it to
 * the collector.
 */
export class Output {
  readonly kind: OutputKind;
  /** How many bytes of the same output came before; only for viewers that count. */
  readonly offset: number | undefined;
  /** `HEADROOM_BYTES` of free space, then the bytes. */
  readonly storage: Buffer;
  /** The chunk as a frame, by codec, made at first use. */
  readonly frames: { proto?: Uint8Array; json?: Uint8Array } = {};
  readonly #isPooled: boolean;
  #pooledStorage: Buffer | undefined;
  #pooledText: Buffer | undefined;
  #holders = 1;

  /** Copies `bytes`. Whoever makes it holds it. */
  constructor(kind: OutputKind, bytes: Uint8Array, offset?: number) {
    this.kind = kind;
    this.offset = offset;
    const size = HEADROOM_BYTES + bytes.length;
    this.#isPooled = bytes.length > POOLED_ABOVE_BYTES && bytes.length <= PIPE_CHUNK_BYTES;
    if (this.#isPooled) this.#pooledStorage = storages.take();
    this.storage = this.#pooledStorage?.subarray(0, size) ?? Buffer.allocUnsafe(size);
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

  /** Memory for the chunk in text, which goes when the chunk goes. */
  allocateText(bytes: number): Buffer {
    if (!this.#isPooled || bytes > TEXT_BYTES) return Buffer.allocUnsafe(bytes);
    this.#pooledText ??= texts.take();
    return this.#pooledText.subarray(0, bytes);
  }

  /** One more holds it. */
  hold(): void {
    this.#holders += 1;
  }

  /** One who held it will not look at it again. After the last one it holds another's bytes. */
  release(): void {
    this.#holders -= 1;
    if (this.#holders !== 0) return;
    if (this.#pooledStorage !== undefined) storages.give(this.#pooledStorage);
    if (this.#pooledText !== undefined) texts.give(this.#pooledText);
    this.#pooledStorage = undefined;
    this.#pooledText = undefined;
  }
}

/** Where a reader delivers. */
export interface OutputSink {
  /** Looks at a chunk, or holds it, and says whether more is wanted; `false` pauses until `resume()`. */
  onOutput(output: Output): boolean;
  /** The end of this output; nothing follows. */
  onEnd(): void;
}

/**
 * Reads one output of a process until its end. Owns the descriptor of a pipe; that of a terminal
 * stays the caller's.
 */
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
      onBytes: (bytes) => this.#deliver(bytes),
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

  /** The stream it reads from; that of a terminal can be written to as well. */
  get socket(): Socket {
    return this.#socket;
  }

  /** Reads on after the sink has said `false`. */
  resume(): void {
    if (this.#fd >= 0) this.#socket.resume();
  }

  /** Whether nothing follows. */
  get hasEnded(): boolean {
    return this.#fd < 0;
  }

  /** What /proc calls the other end, for those who have it open. */
  get peerName(): string {
    return this.#kind === "pty" ? terminalName(this.#fd) : pipeName(this.#fd);
  }

  /** Delivers what has been written until now without waiting for more. */
  drain(): void {
    for (let total = 0; this.#fd >= 0 && total < DRAIN_BYTES; ) {
      const size = readNow(this.#fd);
      if (size === undefined) return;
      if (size === 0) {
        this.#end();
        return;
      }
      total += size;
      this.#deliver(landing.subarray(0, size));
    }
  }

  /** The same, and then closes. */
  drainAndClose(): void {
    this.drain();
    this.#end();
  }

  #deliver(bytes: Uint8Array): boolean {
    const output = new Output(this.#kind, bytes);
    const isMoreWanted = this.#sink.onOutput(output);
    output.release();
    return isMoreWanted;
  }

  #end(): void {
    if (this.#fd < 0) return;
    this.#fd = -1;
    this.#socket.destroy();
    this.#sink.onEnd();
  }
}

/** Reads what is there: 0 at the end and after a hang-up, `undefined` when there is nothing now. */
function readNow(fd: number): number | undefined {
  try {
    return readSync(fd, landing, 0, landing.length, null);
  } catch (reason) {
    // Else EIO: nobody holds the other side.
    return codeOf(reason) === "EAGAIN" ? undefined : 0;
  }
}
