import {
  create,
  fromBinary,
  type MessageInitShape,
  toBinary,
  toJsonString,
} from "@bufbuild/protobuf";
import {
  ConnectRequestSchema,
  SendSignalRequestSchema,
  Signal,
  StartRequestSchema,
  StartResponseSchema,
} from "../gen/process/process_pb.js";

/** The agent or baseline that a client talks to. */
export interface Target {
  host: string;
  port: number;
  /** Sent as `X-Access-Token`. */
  token: string | undefined;
}

/** How messages are written. */
export type Codec = "proto" | "json";

/** One request, independent of the HTTP version. */
export interface Call {
  method: "GET" | "POST";
  path: string;
  headers: Record<string, string>;
  body: Uint8Array;
}

/** What `Start` is asked for. */
export type StartOptions = MessageInitShape<typeof StartRequestSchema>;

const NOTHING = new Uint8Array();

/** Where a URL points to. */
export function targetOf(url: string, token?: string): Target {
  const { hostname, port } = new URL(url);
  return { host: hostname, port: Number(port === "" ? 80 : port), token };
}

/** A plain GET. */
export function get(path: string): Call {
  return { method: "GET", path, headers: {}, body: NOTHING };
}

/** A `Start` of a program without stdin, as the SDKs send it. */
export function startCall(options: StartOptions, codec: Codec = "proto"): Call {
  const message = create(StartRequestSchema, { stdin: false, ...options });
  const payload =
    codec === "proto"
      ? toBinary(StartRequestSchema, message)
      : Buffer.from(toJsonString(StartRequestSchema, message));
  return streamCall("Start", payload, codec);
}

/** A `Connect` to a running process. */
export function connectCall(pid: number): Call {
  const selector = { selector: { case: "pid", value: pid } } as const;
  const message = create(ConnectRequestSchema, { process: selector });
  return streamCall("Connect", toBinary(ConnectRequestSchema, message), "proto");
}

/** Ends a process at once. */
export function killCall(pid: number): Call {
  return signalCall(pid, "SIGKILL");
}

/** Sends a process a signal. */
export function signalCall(pid: number, signal: "SIGTERM" | "SIGKILL"): Call {
  const selector = { selector: { case: "pid", value: pid } } as const;
  const request = { process: selector, signal: Signal[signal] };
  const message = create(SendSignalRequestSchema, request);
  return {
    method: "POST",
    path: "/process.Process/SendSignal",
    headers: { "content-type": "application/proto" },
    body: toBinary(SendSignalRequestSchema, message),
  };
}

function streamCall(method: string, payload: Uint8Array, codec: Codec): Call {
  const body = Buffer.alloc(5 + payload.length);
  body.writeUInt32BE(payload.length, 1);
  body.set(payload, 5);
  return {
    method: "POST",
    path: `/process.Process/${method}`,
    headers: { "content-type": `application/connect+${codec}`, "connect-protocol-version": "1" },
    body,
  };
}

/** The pid in the first frame of a binary `Start` or `Connect` stream. */
export function startedPid(body: Buffer): number {
  const length = body.length < 5 ? 0 : body.readUInt32BE(1);
  if (length === 0 || body.length < 5 + length || body[0] !== 0) {
    throw new Error(`the stream does not begin with an event: ${JSON.stringify(text(body))}`);
  }
  const { event } = fromBinary(StartResponseSchema, body.subarray(5, 5 + length));
  if (event?.event.case !== "start") throw new Error("the first event is not `start`");
  return event.event.value.pid;
}

/** Throws unless a Connect stream ended with its own last frame, and that one reports no error. */
export function checkStreamEnd(tail: Buffer): void {
  const end = text(tail);
  if (end.includes('"error"') || !end.trimEnd().endsWith("}")) {
    throw new Error(`the stream did not end well: ${JSON.stringify(end.slice(-200))}`);
  }
}

function text(bytes: Buffer): string {
  return bytes.toString("latin1");
}

/** `call` as the bytes of an HTTP/1.1 request on a connection that is kept alive. */
export function http1Request(target: Target, call: Call): Buffer {
  return Buffer.concat([http1Head(target, call, call.body.length), call.body]);
}

/** The head of an HTTP/1.1 request whose body of `length` bytes is sent by the caller. */
export function http1Head(target: Target, call: Omit<Call, "body">, length: number): Buffer {
  const headers = { host: `${target.host}:${target.port}`, ...tokenOf(target), ...call.headers };
  const lines = Object.entries(headers).map(([name, value]) => `${name}: ${value}`);
  if (call.method === "POST") lines.push(`content-length: ${length}`);
  return Buffer.from(`${call.method} ${call.path} HTTP/1.1\r\n${lines.join("\r\n")}\r\n\r\n`);
}

/** The header that carries the token, if there is one. */
export function tokenOf(target: Target): Record<string, string> {
  return target.token === undefined ? {} : { "x-access-token": target.token };
}
