import { constants, fstatSync, openSync, writeSync } from "node:fs";
import { isatty } from "node:tty";
import { codeOf } from "./error-text.ts";

const { O_APPEND, O_NOCTTY, O_NONBLOCK, O_WRONLY } = constants;

/** What waits for a reader that does not keep up; what comes on top of that is dropped. */
const BACKLOG_BYTES = 1024 * 1024;
/** How often a reader is tried that does not keep up, in ms. */
const RETRY_MS = 100;
const LAST_TRY_MS = 10;

/** Where lines go. */
export interface LineWriterOptions {
  /** The descriptor, which stays the caller's. Nothing is done to it before the first line. */
  fd: number;
  /** The line that stands for `count` lines that were dropped. */
  describeDropped: (count: number) => string;
}

/** Writes to the socket `fd` what that takes at once. Throws `EAGAIN` when that is nothing. */
export type SendNow = (fd: number, bytes: Uint8Array) => number;

interface Target {
  fd: number;
  isSocket: boolean;
}

/**
 * Writes lines to a pipe, a socket or a terminal without ever waiting for who reads there: what that
 * does not take waits here, up to 1 MiB, and of what is dropped beyond it a line tells in its place.
 * Files are written to as they are. Closing is left to the end of the process.
 */
export class LineWriter {
  /** Node has no such call: until this is set, writing to a socket waits. */
  sendNow: SendNow | undefined;
  readonly #options: LineWriterOptions;
  readonly #backlog: Buffer[] = [];
  #backlogBytes = 0;
  #dropped = 0;
  #target: Target | undefined;
  #timer: NodeJS.Timeout | undefined;

  constructor(options: LineWriterOptions) {
    this.#options = options;
  }

  /** What wakes the process, in words; `undefined` while nothing does. */
  get awake(): string | undefined {
    return this.#timer && `log: ${this.#backlogBytes} bytes wait for who reads stderr`;
  }

  /** Writes `line`, or keeps it until that can be. Never throws. */
  write(line: string): void {
    const bytes = Buffer.from(line);
    if (!this.#fits(bytes)) this.flush();
    if (!this.#fits(bytes)) {
      this.#dropped += 1;
      return;
    }
    this.#tellDropped();
    this.#keep(bytes);
    this.flush();
  }

  /** Writes what waits, as far as that is taken now. Returns whether that was all. */
  flush(): boolean {
    clearTimeout(this.#timer);
    this.#timer = undefined;
    try {
      this.#writeAll();
      return true;
    } catch (reason) {
      // Who is gone is tried with the next line; for who is slow nobody may come to write one.
      if (codeOf(reason) === "EAGAIN") {
        this.#timer = setTimeout(() => this.flush(), RETRY_MS).unref();
      }
      return false;
    }
  }

  /** Stops everything for up to `ms` ms until all is written: for a process that is about to exit. */
  flushFor(ms: number): void {
    const end = performance.now() + ms;
    const pause = new Int32Array(new SharedArrayBuffer(4));
    while (!this.flush() && this.#timer !== undefined && performance.now() < end) {
      Atomics.wait(pause, 0, 0, LAST_TRY_MS);
    }
  }

  #writeAll(): void {
    for (;;) {
      if (this.#backlog.length === 0) this.#tellDropped();
      const [first] = this.#backlog;
      if (first === undefined) return;
      const written = this.#put(first);
      this.#backlogBytes -= written;
      if (written < first.length) this.#backlog[0] = first.subarray(written);
      else this.#backlog.shift();
    }
  }

  #put(bytes: Buffer): number {
    this.#target ??= openToWrite(this.#options.fd);
    const { fd, isSocket } = this.#target;
    return isSocket && this.sendNow !== undefined ? this.sendNow(fd, bytes) : writeSync(fd, bytes);
  }

  #fits(bytes: Buffer): boolean {
    return this.#backlogBytes + bytes.length <= BACKLOG_BYTES;
  }

  #tellDropped(): void {
    if (this.#dropped === 0) return;
    this.#keep(Buffer.from(this.#options.describeDropped(this.#dropped)));
    this.#dropped = 0;
  }

  #keep(bytes: Buffer): void {
    this.#backlog.push(bytes);
    this.#backlogBytes += bytes.length;
  }
}

/**
 * What `fd` leads to, opened once more so that writing does not wait: a flag of `fd` itself would
 * be set for everybody who has it from the same parent. `fd` where that cannot be, or need not.
 */
function openToWrite(fd: number): Target {
  const status = fstatSync(fd);
  const asItIs = { fd, isSocket: status.isSocket() };
  const isPipe = status.isFIFO();
  if (!isPipe && !isatty(fd)) return asItIs;
  try {
    const flags = O_WRONLY | O_NONBLOCK | O_APPEND | O_NOCTTY;
    return { fd: openSync(`/proc/self/fd/${fd}`, flags), isSocket: false };
  } catch (reason) {
    // Nobody reads from the pipe by now.
    if (isPipe && codeOf(reason) === "ENXIO") throw reason;
    return asItIs;
  }
}
