import type { IncomingMessage, ServerResponse } from "node:http";
import {
  type DescMessage,
  fromBinary,
  fromJsonString,
  type MessageShape,
} from "@bufbuild/protobuf";
import { Code, ConnectError } from "@connectrpc/connect";
import { ConnectRequestSchema, StartRequestSchema } from "../../gen/process/process_pb.js";
import { AgentError } from "../errors.ts";
import type { HttpCall } from "../http/endpoint.ts";
import { Slices } from "../lib/slices.ts";
import { startTimer } from "../lib/timer.ts";
import type { StallWatch } from "../net/progress.ts";
import type { Viewer } from "../process/viewer.ts";
import { keepaliveIntervalMs } from "../services/keepalive.ts";
import { followConnect, followStart, type ProcessParts } from "../services/process-follow.ts";
import type { Admission } from "./admission.ts";
import { toConnectError } from "./errors.ts";
import { FrameWriter } from "./frame-writer.ts";
import { type Codec, endFrame } from "./frames.ts";
import { watchedBody } from "./watched-body.ts";

/** The most one request message may hold. */
export const MESSAGE_BYTES = 16 * 1024 * 1024;

const CONTENT_TYPE = /^application\/connect\+(json|proto)\s*(?:;.*)?$/i;
const IDENTITY = /^(?:identity)?$/i;

/** What the two streams are served with. */
export interface StreamParts {
  /** Finds out that a peer has stopped reading. */
  stalls: StallWatch;
  /** Aborts with the error that open streams end with. */
  shutdown: AbortSignal;
  admission: Admission;
}

/**
 * Serves Start and Connect over the Connect protocol without the stock adapter: their frames are
 * built by hand, which is several times faster for bytes and tens of times for JSON. Everything
 * else a client may ask of these methods goes through the adapter and gets the same answers.
 */
export class ProcessStream {
  readonly #parts: ProcessParts;
  readonly #stalls: StallWatch;
  /** However many viewers there are, other calls are answered in between. */
  readonly #slices = new Slices();
  readonly #shutdown: AbortSignal;
  readonly #admission: Admission;

  constructor(parts: ProcessParts, { stalls, shutdown, admission }: StreamParts) {
    this.#parts = parts;
    this.#stalls = stalls;
    this.#shutdown = shutdown;
    this.#admission = admission;
  }

  /** Whether this request is one of the two, in a form served here. */
  matches(request: IncomingMessage): boolean {
    const { url, method, headers } = request;
    return (
      method === "POST" &&
      (url === "/process.Process/Start" || url === "/process.Process/Connect") &&
      CONTENT_TYPE.test(headers["content-type"] ?? "") &&
      IDENTITY.test(String(headers["connect-content-encoding"] ?? ""))
    );
  }

  /** Answers `request`. Resolves when the response has ended or the client has gone. */
  async handle(request: IncomingMessage, response: ServerResponse, call: HttpCall): Promise<void> {
    const codec = codecOf(request);
    response.statusCode = 200;
    response.setHeader("Content-Type", `application/connect+${codec}`);
    const closed = new Promise<void>((resolve) => response.once("close", resolve));
    try {
      call.caller.verify();
      const headers = new Headers(headersOf(request, ["keepalive-ping-interval"]));
      const keepaliveMs = keepaliveIntervalMs(headers);
      const timeoutMs = timeoutOf(request);
      const body = await readMessage(this.#watched(request, response), call.signal);
      const viewer = await this.#follow(request, { body, codec, timeoutMs, call });
      response.flushHeaders();
      const writer = new FrameWriter(response, viewer, {
        codec,
        keepaliveMs,
        signal: call.signal,
        stalls: this.#stalls,
        slices: this.#slices,
      });
      using _deadline = this.#deadline(request, timeoutMs, writer);
      const onShutdown = () => writer.fail(toConnectError(this.#shutdown.reason));
      this.#shutdown.addEventListener("abort", onShutdown);
      await closed;
      this.#shutdown.removeEventListener("abort", onShutdown);
    } catch (reason) {
      if (!call.signal.aborted) response.end(endFrame(toConnectError(reason)));
    }
    await closed;
  }

  #watched(request: IncomingMessage, response: ServerResponse): AsyncIterable<Uint8Array> {
    const body = request.iterator({ destroyOnReturn: false }) as AsyncIterable<Uint8Array>;
    return watchedBody(body, { request, response, stalls: this.#stalls, mayPause: false });
  }

  #follow(request: IncomingMessage, asked: Asked): Viewer | Promise<Viewer> {
    const { body, codec, timeoutMs, call } = asked;
    if (request.url === "/process.Process/Connect") {
      const connect = parse(ConnectRequestSchema, body, codec);
      return followConnect(this.#parts, connect, this.#admission.grantOf(request));
    }
    const start = parse(StartRequestSchema, body, codec);
    return followStart(this.#parts, start, call.caller, timeoutMs);
  }

  /** A started process carries its deadline itself, as its life-time; 0 only ends the stream. */
  #deadline(
    request: IncomingMessage,
    timeoutMs: number | undefined,
    writer: FrameWriter,
  ): Disposable | undefined {
    const isStart = request.url === "/process.Process/Start";
    if (timeoutMs === undefined || (isStart && timeoutMs > 0)) return undefined;
    return startTimer(timeoutMs, () => {
      writer.fail(new ConnectError("the operation timed out", Code.DeadlineExceeded));
    });
  }
}

interface Asked {
  body: Buffer;
  codec: Codec;
  timeoutMs: number | undefined;
  call: HttpCall;
}

function codecOf(request: IncomingMessage): Codec {
  const codec = CONTENT_TYPE.exec(request.headers["content-type"] ?? "")?.[1];
  return codec?.toLowerCase() === "json" ? "json" : "proto";
}

function headersOf(request: IncomingMessage, names: string[]): Record<string, string> {
  const found = names.map((name) => [name, request.headers[name]] as const);
  return Object.fromEntries(found.filter(([, value]) => typeof value === "string")) as Record<
    string,
    string
  >;
}

function timeoutOf(request: IncomingMessage): number | undefined {
  const text = request.headers["connect-timeout-ms"];
  if (text === undefined) return undefined;
  if (/^\d{1,10}$/.test(String(text))) return Number(text);
  throw new AgentError(
    "invalid",
    `Connect-Timeout-Ms: "${String(text)}" is not a number of milliseconds of at most 10 digits`,
  );
}

/** The one message of a request body: a frame of 1 flag byte, 4 length bytes and the payload. */
async function readMessage(
  request: AsyncIterable<Uint8Array>,
  signal: AbortSignal,
): Promise<Buffer> {
  const chunks: Uint8Array[] = [];
  let size = 0;
  for await (const chunk of request) {
    chunks.push(chunk);
    size += chunk.length;
    if (size > MESSAGE_BYTES + 5) break;
  }
  signal.throwIfAborted();
  const body = Buffer.concat(chunks, size);
  if (size < 5)
    throw new AgentError("invalid", `the request body is ${size} bytes, not one message`);
  const length = body.readUInt32BE(1);
  if (length > MESSAGE_BYTES) {
    const message = `the message is ${length} bytes, more than the ${MESSAGE_BYTES} that are taken`;
    throw new AgentError("exhausted", message);
  }
  if (body[0] !== 0)
    throw new AgentError("invalid", `frame flags ${body[0]} are not supported here`);
  if (size !== length + 5) {
    const message = `the frame announces ${length} bytes and the body holds ${size - 5}: send exactly one message`;
    throw new AgentError("invalid", message);
  }
  return body.subarray(5);
}

function parse<Desc extends DescMessage>(
  schema: Desc,
  body: Buffer,
  codec: Codec,
): MessageShape<Desc> {
  try {
    if (codec === "proto") return fromBinary(schema, body);
    return fromJsonString(schema, body.toString("utf8"), { ignoreUnknownFields: true });
  } catch (cause) {
    const words = cause instanceof Error ? cause.message : String(cause);
    throw new AgentError("invalid", `cannot decode ${schema.typeName}: ${words}`, { cause });
  }
}
