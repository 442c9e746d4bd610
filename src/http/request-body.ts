import type { IncomingMessage } from "node:http";
import type { Http2ServerRequest } from "node:http2";
import type { Readable } from "node:stream";
import { createGunzip, type Gunzip } from "node:zlib";
import { HttpError } from "./endpoint.ts";
import { pump, type Sink, SourceError } from "./pump.ts";

/** How much is unpacked at a time. */
const UNPACKED_BYTES = 256 * 1024;

/**
 * The body of an upload, unpacked if its `Content-Encoding` says so. Every failure of it is an
 * `HttpError`; a body that breaks off is one.
 */
export class RequestBody implements Disposable {
  readonly #request: IncomingMessage;
  readonly #gunzip: Gunzip | undefined;
  #receivedBytes = 0;

  /** Any other `Content-Encoding` than gzip and identity is a 400. */
  constructor(request: IncomingMessage) {
    this.#request = request;
    // What breaks off while nobody reads must not end the process.
    request.on("error", ignore);
    if (!isGzip(request)) return;
    this.#gunzip = createGunzip({ chunkSize: UNPACKED_BYTES });
    this.#gunzip.on("error", ignore);
  }

  /** What `Content-Length` says; `undefined` when it says nothing or speaks of packed bytes. */
  get announcedBytes(): number | undefined {
    return lengthOf(this.#request);
  }

  /** Pushes the whole body into `sink`. Resolves only when it is complete. */
  async pumpInto(sink: Sink, signal: AbortSignal): Promise<void> {
    try {
      await pump(this.#begin(), this.#counting(sink), signal);
    } catch (cause) {
      throw cause instanceof SourceError ? this.#explain(cause) : cause;
    }
    if (this.#isTruncated()) throw brokenOff();
    if (this.#gunzip?.bytesWritten === 0) throw undecodable("unexpected EOF");
  }

  [Symbol.dispose](): void {
    if (this.#gunzip === undefined) return;
    this.#request.unpipe(this.#gunzip);
    this.#gunzip.destroy();
  }

  #begin(): Readable {
    const request = this.#request;
    const gunzip = this.#gunzip;
    if (gunzip === undefined) return request;
    const onClose = () => {
      if (!request.readableEnded) gunzip.destroy(brokenOff());
    };
    request.once("close", onClose);
    gunzip.once("close", () => request.off("close", onClose));
    // Not `pipeline`, which would destroy the request, and with it the way back, on bad data.
    return request.pipe(gunzip);
  }

  #counting(sink: Sink): Sink {
    if (this.#gunzip !== undefined) return sink;
    return {
      push: (chunk) => {
        this.#receivedBytes += chunk.byteLength;
        return sink.push(chunk);
      },
    };
  }

  #explain({ cause }: SourceError): HttpError {
    if (cause instanceof HttpError) return cause;
    if (this.#gunzip === undefined || !(cause instanceof Error)) return brokenOff();
    return undecodable(cause.message);
  }

  /**
   * Whether the client broke off. HTTP/1.1 always shows it. On HTTP/2 a client may end its stream
   * properly in the middle of the body: only a `Content-Length` tells that, and without one such
   * an end cannot be told from a real one.
   */
  #isTruncated(): boolean {
    const { stream, aborted } = this.#request as unknown as Http2ServerRequest;
    if (stream !== undefined && (aborted || stream.rstCode !== 0)) return true;
    const announced = this.announcedBytes;
    const received = this.#gunzip?.bytesWritten ?? this.#receivedBytes;
    return !this.#request.complete || (announced !== undefined && received < announced);
  }
}

function ignore(): void {}

function isGzip({ headers }: IncomingMessage): boolean {
  const header = headers["content-encoding"] ?? "";
  const coding = (header.split(";")[0] ?? "").trim().toLowerCase();
  if (coding === "gzip") return true;
  if (coding === "" || coding === "identity") return false;
  throw undecodable(`unsupported Content-Encoding: ${header}, supported: [gzip]`);
}

function lengthOf({ headers }: IncomingMessage): number | undefined {
  const text = headers["content-length"];
  return text === undefined ? undefined : Number(text);
}

function undecodable(reason: string): HttpError {
  return new HttpError(400, `error decompressing request body: ${reason}`);
}

function brokenOff(): HttpError {
  return new HttpError(400, "error reading request body: it broke off before its end");
}
