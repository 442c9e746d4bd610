import { closeSync, constants, fstatSync, openSync, readSync } from "node:fs";
import type { Socket } from "node:net";
import { codeOf } from "../lib/error-text.ts";
import type { Logger } from "../log.ts";
import { adoptDescriptor } from "./descriptors.ts";
import { callLibc, libcFunction } from "./libc.ts";

const PATH = "/dev/kmsg";
/** The number of /dev/kmsg, major 1 and minor 11: nothing else is known to be pollable. */
const DEVICE = 0x10b;
const SEEK_END = 2;
const POLLIN = 1;
/** More than the kernel puts in one record. */
const RECORD_BYTES = 8_192;
/** So that a kernel that goes on talking cannot hold the event loop. The rest comes by itself. */
const MOST_RECORDS = 128;

/** One record of the kernel's log. */
export interface KernelLine {
  /** Who wrote it: 0 is the kernel itself, which no program can claim to be. */
  facility: number;
  /** What was written, unprintable bytes as `\x0a`. */
  text: string;
}

/** How the log is read. */
export interface KernelLogOptions {
  /** Sees each record that is written from now on, once and in order. */
  onLine: (line: KernelLine) => void;
  /** Told that records were overwritten before they could be read. */
  onLost?: () => void;
  log: Logger;
  /** Default /dev/kmsg. */
  path?: string | undefined;
}

/**
 * The kernel's log from now on, read by the event loop, which it does not keep alive and wakes for
 * new records alone. Where the log may not be read (a container, no CAP_SYSLOG) it stays silent.
 */
export class KernelLog {
  readonly #options: KernelLogOptions;
  readonly #record = Buffer.alloc(RECORD_BYTES);
  readonly #pollable = Buffer.alloc(8);
  #fd: number | undefined;
  #socket: Socket | undefined;

  constructor(options: KernelLogOptions) {
    this.#options = options;
  }

  /** Whether records are seen. */
  get isOpen(): boolean {
    return this.#fd !== undefined;
  }

  /** Begins with the next record. Again, it does nothing. */
  open(): void {
    if (this.#fd !== undefined) return;
    const { path = PATH, log } = this.#options;
    try {
      this.#fd = openAtEnd(path);
      this.#adopt(this.#fd);
    } catch (error) {
      this.close();
      log.debug({ err: error }, "the kernel's log cannot be read");
    }
  }

  /**
   * Hands over what is in the log by now, as far as the event loop has not yet done so. Returns
   * whether that may not be all of it.
   */
  drain(): boolean {
    for (let records = 0; records < MOST_RECORDS; records += 1) {
      if (!this.#isReadable(0) || !this.#readOne()) return false;
    }
    return true;
  }

  /** Stops everything for up to `ms` ms until there is a record to `drain`. */
  wait(ms: number): boolean {
    return this.#isReadable(ms);
  }

  close(): void {
    const fd = this.#fd;
    this.#fd = undefined;
    this.#socket?.destroy();
    this.#socket = undefined;
    if (fd !== undefined) closeSync(fd);
  }

  #adopt(fd: number): void {
    // The event loop and `drain` share the place in the log, as theirs is one open file.
    const { socket } = adoptDescriptor(fd, {
      buffer: this.#record,
      onBytes: (bytes) => {
        this.#take(bytes);
        this.drain();
        return true;
      },
    });
    socket.on("error", (error) => {
      if (this.#fd === undefined || this.#socket !== socket) return;
      if (codeOf(error) === "EPIPE") this.#goOn(fd);
      else this.#giveUp(error);
    });
    socket.on("end", () => {
      if (this.#socket === socket) this.close();
    });
    socket.unref();
    socket.resume();
    this.#socket = socket;
  }

  /** Records were overwritten before they were read: it goes on with the oldest there is. */
  #goOn(fd: number): void {
    this.#options.onLost?.();
    try {
      this.#adopt(fd);
    } catch (error) {
      this.#giveUp(error);
    }
  }

  #isReadable(timeoutMs: number): boolean {
    if (this.#fd === undefined) return false;
    this.#pollable.writeInt32LE(this.#fd, 0);
    this.#pollable.writeInt32LE(POLLIN, 4);
    const poll = libcFunction("int poll(_Inout_ uint8_t *descriptors, uint64_t count, int ms)");
    return Number(poll(this.#pollable, 1, timeoutMs)) > 0;
  }

  #readOne(): boolean {
    if (this.#fd === undefined) return false;
    try {
      const length = readSync(this.#fd, this.#record);
      this.#take(this.#record.subarray(0, length));
      return length > 0;
    } catch (error) {
      const code = codeOf(error);
      if (code === "EPIPE") this.#options.onLost?.();
      if (code === "EPIPE" || code === "EINTR") return true;
      if (code !== "EAGAIN") this.#giveUp(error);
      return false;
    }
  }

  #take(bytes: Uint8Array): void {
    const line = parse(Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length).toString());
    if (line !== undefined) this.#options.onLine(line);
  }

  #giveUp(error: unknown): void {
    this.close();
    this.#options.log.debug({ err: error }, "the kernel's log can no longer be read");
  }
}

function openAtEnd(path: string): number {
  const fd = openSync(path, constants.O_RDONLY | constants.O_NONBLOCK);
  try {
    // The event loop would end the whole process over a descriptor that cannot be polled.
    const status = fstatSync(fd);
    if (!status.isCharacterDevice() || status.rdev !== DEVICE) throw new Error(`not ${PATH}`);
    callLibc("int64_t lseek(int fd, int64_t offset, int whence)", fd, 0, SEEK_END);
    return fd;
  } catch (error) {
    closeSync(fd);
    throw error;
  }
}

/** `priority,sequence,microseconds,flags;text`, then lines with names and values. */
function parse(record: string): KernelLine | undefined {
  const match = /^(\d+),\d+,\d+,[^;\n]*;([^\n]*)/.exec(record);
  if (match === null) return undefined;
  return { facility: Number(match[1]) >> 3, text: match[2] ?? "" };
}
