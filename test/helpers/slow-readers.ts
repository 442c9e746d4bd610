/** Clients that read a file at a rate of choice, each as its kind of client does. */

import { Duplex } from "node:stream";
import { connect as connectTls } from "node:tls";
import { h2Request, PREFACE, settings, TYPE, windowUpdate } from "./h2-frames.ts";
import { NarrowSocket } from "./narrow-socket.ts";

const KIB = 1_024;
const TICKS_PER_S = 4;
/** How often a library looks whether something has come, in ms. */
const ARRIVAL_MS = 20;
const RECORD_HEAD_BYTES = 5;
const FRAME_HEAD_BYTES = 9;
const MOST_WINDOW = 0x7fff_ffff;

/** When a client of HTTP/2 gives back what its program has read. */
export interface WindowPolicy {
  windowBytes: number;
  /** Once so much was read. */
  giveBackBytes: number;
  /** Or once so long ago it last gave something back, in ms. */
  giveBackMs?: number;
}

/** Windows as Node's own client gives them back: by halves. */
export function byHalves(windowBytes: number): WindowPolicy {
  return { windowBytes, giveBackBytes: windowBytes / 2 };
}

/** As Go's client does: every 4 KiB. */
export function byPages(windowBytes: number): WindowPolicy {
  return { windowBytes, giveBackBytes: 4 * KIB };
}

/** As Chromium does: by halves of 6 MiB, or after 5 s. */
export const CHROMIUM: WindowPolicy = { ...byHalves(6 * KIB * KIB), giveBackMs: 5_000 };

/** One who reads until it is disposed of. */
export interface SlowReader extends Disposable {
  /** Whether the agent has not given it up. */
  readonly isOpen: boolean;
}

/** Where the file is, and how fast it is read. */
export interface SlowReading {
  port: number;
  path: string;
  bytesPerS: number;
}

/** Reads over HTTP/1.1 straight from a socket with a receive buffer of `bufferBytes`. */
export function readPlain(reading: SlowReading, bufferBytes?: number): SlowReader {
  const socket = askPlain(reading, bufferBytes);
  socket.start(reading.bytesPerS);
  return socket;
}

/** The same once `bytes` were read as fast as they came, so that the kernel let the buffer grow. */
export async function readFastFirst(reading: SlowReading, bytes: number): Promise<SlowReader> {
  const socket = askPlain(reading);
  while (socket.receivedBytes < bytes) {
    socket.read(KIB * KIB);
    await new Promise((resolve) => setImmediate(resolve));
  }
  socket.start(reading.bytesPerS);
  return socket;
}

function askPlain(reading: SlowReading, bufferBytes?: number): NarrowSocket {
  const socket = new NarrowSocket(reading.port, bufferBytes);
  socket.send(requestOf(reading));
  return socket;
}

/**
 * Reads over HTTP/1.1 and TLS. As every library of TLS it takes a record from the socket whenever
 * its program has read the one before, and can show nothing of a record that is not whole.
 */
export function readTls(reading: SlowReading, bufferBytes?: number): SlowReader {
  const socket = new NarrowSocket(reading.port, bufferBytes);
  let plainBytes = 0;
  const due = dueBytes(reading);
  const carrier = new Duplex({
    read: () => {},
    write: (chunk: Buffer, _encoding, done) => {
      socket.send(chunk);
      done();
    },
  });
  const tls = connectTls({ socket: carrier, rejectUnauthorized: false });
  tls.on("error", () => {}).on("data", (chunk: Buffer) => (plainBytes += chunk.length));
  tls.write(requestOf(reading));
  const isDue = () => plainBytes <= due();
  const records = new RecordReader(socket);
  const arrival = setInterval(() => {
    const record = isDue() ? records.next() : undefined;
    if (record !== undefined) carrier.push(record);
  }, ARRIVAL_MS);
  return {
    get isOpen() {
      return socket.isOpen;
    },
    [Symbol.dispose]: () => {
      clearInterval(arrival);
      tls.destroy();
      socket[Symbol.dispose]();
    },
  };
}

/** Takes from a socket one record of TLS at a time, and nothing of the one behind it. */
class RecordReader {
  readonly #socket: NarrowSocket;
  #record: Buffer = Buffer.alloc(0);

  constructor(socket: NarrowSocket) {
    this.#socket = socket;
  }

  /** The next record if it is whole. */
  next(): Buffer | undefined {
    for (;;) {
      const missing = this.#missingBytes;
      const more = this.#socket.read(missing);
      this.#record = Buffer.concat([this.#record, more]);
      if (more.length < missing) return undefined;
      if (this.#missingBytes > 0) continue;
      const record = this.#record;
      this.#record = Buffer.alloc(0);
      return record;
    }
  }

  get #missingBytes(): number {
    const { length } = this.#record;
    const size = length < RECORD_HEAD_BYTES ? 0 : this.#record.readUInt16BE(3);
    return RECORD_HEAD_BYTES + size - length;
  }
}

/** Reads over HTTP/2: what comes is taken at once, and its window is given back by `policy`. */
export function readHttp2(reading: SlowReading, policy: WindowPolicy): SlowReader {
  const socket = new NarrowSocket(reading.port);
  const fields = { ":path": reading.path, ":authority": "127.0.0.1" };
  const opened = [settings([[4, policy.windowBytes]]), windowUpdate(0, MOST_WINDOW - 65_535)];
  socket.send(Buffer.concat([PREFACE, ...opened, h2Request(1, fields)]));
  const frames = new FrameCounter();
  const due = dueBytes(reading);
  const arrival = setInterval(() => {
    frames.add(socket.read(KIB * KIB));
  }, ARRIVAL_MS);
  let readBytes = 0;
  let givenBytes = 0;
  let givenAt = performance.now();
  const program = setInterval(() => {
    readBytes = Math.min(frames.dataBytes, due());
    const unacknowledged = readBytes - givenBytes;
    const isLate = performance.now() - givenAt >= (policy.giveBackMs ?? Number.POSITIVE_INFINITY);
    if (unacknowledged === 0 || (unacknowledged < policy.giveBackBytes && !isLate)) return;
    socket.send(windowUpdate(1, unacknowledged));
    givenBytes = readBytes;
    givenAt = performance.now();
  }, 1_000 / TICKS_PER_S);
  return {
    get isOpen() {
      return socket.isOpen && !frames.hasReset;
    },
    [Symbol.dispose]: () => {
      clearInterval(arrival);
      clearInterval(program);
      socket[Symbol.dispose]();
    },
  };
}

/** What has come in frames, of which none is kept. */
class FrameCounter {
  /** What DATA frames carry. */
  dataBytes = 0;
  hasReset = false;
  #head = Buffer.alloc(0);
  #leftOfFrame = 0;

  add(more: Buffer): void {
    for (let rest = more; rest.length > 0; ) {
      const skipped = Math.min(this.#leftOfFrame, rest.length);
      this.#leftOfFrame -= skipped;
      const head = Math.min(FRAME_HEAD_BYTES - this.#head.length, rest.length - skipped);
      this.#head = Buffer.concat([this.#head, rest.subarray(skipped, skipped + head)]);
      rest = rest.subarray(skipped + head);
      if (this.#head.length < FRAME_HEAD_BYTES) continue;
      this.#leftOfFrame = this.#head.readUIntBE(0, 3);
      // A frame counts when it begins to come: it is on its way as a whole.
      if (this.#head[3] === TYPE.data) this.dataBytes += this.#leftOfFrame;
      this.hasReset ||= this.#head[3] === TYPE.reset;
      this.#head = Buffer.alloc(0);
    }
  }
}

/** How much a program has read since it began, by the clock. */
function dueBytes({ bytesPerS }: SlowReading): () => number {
  const start = performance.now();
  return () => Math.floor(((performance.now() - start) * bytesPerS) / 1_000);
}

function requestOf({ path }: SlowReading): string {
  return `GET ${path} HTTP/1.1\r\nHost: 127.0.0.1\r\nAccept-Encoding: identity\r\n\r\n`;
}
