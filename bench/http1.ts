import { connect, type Socket } from "node:net";
import type { Target } from "./wire.ts";

/** Every socket reads into this; what is kept of it is copied before the callback returns. */
const landing = Buffer.allocUnsafeSlow(256 * 1024);
/** What is kept of a response's beginning and end. */
const KEPT_BYTES = 4096;
/** What the last chunk of a chunked body looks like. */
const LAST_CHUNK = Buffer.from("\r\n0\r\n\r\n");
const END_OF_HEAD = Buffer.from("\r\n\r\n");

/** What is known of a response that was read and thrown away. */
export interface Response {
  status: number;
  /** All bytes of the response, with its head and its chunk framing. */
  bytes: number;
  /** The first bytes of the body. */
  head: Buffer;
  /** The last bytes of the response, with chunk framing. */
  tail: Buffer;
}

interface Reading {
  bytes: number;
  /** The first bytes, until the head of the response is known. */
  first: Buffer;
  last: Buffer;
  status: number;
  /** Where the response ends; -1: after the last chunk; `undefined`: not known yet. */
  endBytes: number | undefined;
  isChunked: boolean;
  bodyStart: number;
  resolve(response: Response): void;
  reject(reason: Error): void;
}

/**
 * A client that costs next to nothing: one HTTP/1.1 connection on a bare socket, one request at a
 * time, given as bytes; the response is counted and thrown away.
 */
export class Http1Connection implements Disposable {
  /** Called with the number of bytes of each read. */
  onBytes: (size: number) => void = () => {};
  readonly #socket: Socket;
  #reading: Reading | undefined;

  private constructor(target: Target) {
    this.#socket = connect({
      host: target.host,
      port: target.port,
      noDelay: true,
      onread: {
        buffer: landing,
        callback: (size) => {
          this.#take(landing.subarray(0, size));
          return true;
        },
      },
    });
    this.#socket.on("error", (error) => this.#fail(error));
    this.#socket.once("close", () => this.#fail(new Error("the connection closed")));
  }

  /** Connects to `target`. */
  static open(target: Target): Promise<Http1Connection> {
    return new Promise((resolve, reject) => {
      const connection = new Http1Connection(target);
      connection.#socket.once("connect", () => resolve(connection));
      connection.#socket.once("error", reject);
    });
  }

  /** This end's port. */
  get localPort(): number {
    return this.#socket.localPort ?? 0;
  }

  /** Whether a response is awaited or goes on. */
  get isReading(): boolean {
    return this.#reading !== undefined;
  }

  /** Sends `request` and reads its whole response. */
  exchange(request: Uint8Array): Promise<Response> {
    const response = this.#read();
    this.#socket.write(request);
    return response;
  }

  /** Sends `request` and returns as soon as the body has `bytes` bytes of its own or more. */
  async begin(request: Uint8Array, bytes: number): Promise<Buffer> {
    this.#read().catch(() => {});
    const reading = this.#reading as Reading;
    await new Promise<void>((resolve, reject) => {
      reading.reject = reject;
      this.onBytes = () => {
        if (reading.endBytes !== undefined && bodyOf(reading).length >= bytes) resolve();
      };
      this.#socket.write(request);
    });
    this.onBytes = () => {};
    reading.reject = () => {};
    return bodyOf(reading);
  }

  /** Sends `head` and then `bytes` bytes made of `block`, and reads the response. */
  async upload(head: Uint8Array, parts: { block: Buffer; bytes: number; end?: Buffer }) {
    const response = this.#read();
    response.catch(() => {});
    this.#socket.write(head);
    await this.#sendBlocks(parts.block, parts.bytes);
    if (parts.end !== undefined) this.#socket.write(parts.end);
    return await response;
  }

  [Symbol.dispose](): void {
    this.#socket.destroy();
  }

  #sendBlocks(block: Buffer, bytes: number): Promise<void> {
    return new Promise((resolve, reject) => {
      let left = bytes;
      const next = (error?: Error | null) => {
        if (error) reject(error);
        else if (left === 0) resolve();
        else {
          const size = Math.min(left, block.length);
          left -= size;
          this.#socket.write(size === block.length ? block : block.subarray(0, size), next);
        }
      };
      next();
    });
  }

  #read(): Promise<Response> {
    if (this.#reading !== undefined) throw new Error("one request at a time");
    return new Promise((resolve, reject) => {
      this.#reading = {
        bytes: 0,
        first: Buffer.alloc(0),
        last: Buffer.alloc(0),
        status: 0,
        endBytes: undefined,
        isChunked: false,
        bodyStart: 0,
        resolve,
        reject,
      };
    });
  }

  #take(bytes: Buffer): void {
    const reading = this.#reading;
    if (reading === undefined) return;
    reading.bytes += bytes.length;
    if (reading.first.length < KEPT_BYTES) {
      reading.first = Buffer.concat([reading.first, bytes.subarray(0, KEPT_BYTES)]);
    }
    if (reading.endBytes === undefined) readHead(reading);
    reading.last = lastOf(reading.last, bytes);
    this.onBytes(bytes.length);
    if (isComplete(reading)) this.#finish(reading);
  }

  #finish(reading: Reading): void {
    this.#reading = undefined;
    reading.resolve({
      status: reading.status,
      bytes: reading.bytes,
      head: bodyOf(reading),
      tail: reading.last,
    });
  }

  #fail(error: Error): void {
    const reading = this.#reading;
    this.#reading = undefined;
    reading?.reject(error);
  }
}

const TAIL_BYTES = 256;

function lastOf(last: Buffer, bytes: Buffer): Buffer {
  const end = bytes.subarray(Math.max(0, bytes.length - TAIL_BYTES));
  return end.length === TAIL_BYTES
    ? Buffer.from(end)
    : Buffer.concat([last, end]).subarray(-TAIL_BYTES);
}

function readHead(reading: Reading): void {
  const at = reading.first.indexOf(END_OF_HEAD);
  if (at < 0) return;
  const head = reading.first.toString("latin1", 0, at);
  reading.status = Number(head.slice(9, 12));
  reading.bodyStart = at + END_OF_HEAD.length;
  reading.isChunked = /^transfer-encoding: *chunked/im.test(head);
  const length = /^content-length: *(\d+)/im.exec(head)?.[1];
  reading.endBytes = reading.isChunked ? -1 : reading.bodyStart + Number(length ?? 0);
}

function isComplete(reading: Reading): boolean {
  if (reading.endBytes === undefined) return false;
  if (reading.endBytes >= 0) return reading.bytes >= reading.endBytes;
  return reading.last.subarray(-LAST_CHUNK.length).equals(LAST_CHUNK);
}

/** The beginning of the body, freed from chunk framing. */
function bodyOf(reading: Reading): Buffer {
  const body = reading.first.subarray(reading.bodyStart);
  return reading.isChunked ? dechunk(body) : body;
}

function dechunk(bytes: Buffer): Buffer {
  const parts: Buffer[] = [];
  let at = 0;
  while (at < bytes.length) {
    const lineEnd = bytes.indexOf("\r\n", at);
    if (lineEnd < 0) break;
    const size = Number.parseInt(bytes.toString("latin1", at, lineEnd), 16);
    parts.push(bytes.subarray(lineEnd + 2, lineEnd + 2 + size));
    at = lineEnd + 2 + size + 2;
  }
  return Buffer.concat(parts);
}
