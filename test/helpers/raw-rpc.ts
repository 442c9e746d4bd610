import { once } from "node:events";
import { type IncomingMessage, request } from "node:http";
import { connect as connectHttp2 } from "node:http2";
import { buffer } from "node:stream/consumers";
import type { DescMethod } from "@bufbuild/protobuf";
import { Filesystem } from "../../gen/filesystem/filesystem_pb.js";
import { Process } from "../../gen/process/process_pb.js";
import { ask, type HttpVersion } from "./requests.ts";

/** Every RPC of the contract, as a row of a table: its path and what describes it. */
export const rpcs: [string, DescMethod][] = [Process, Filesystem].flatMap((service) =>
  service.methods.map((method): [string, DescMethod] => [
    `${service.typeName}/${method.name}`,
    method,
  ]),
);

/** How messages are written. */
export const codecs = ["json", "proto"] as const;
/** One of them. */
export type Codec = (typeof codecs)[number];

/** What a call ended with. */
export interface Outcome {
  /** Of the HTTP answer. */
  status: number;
  /** The error's code as the wire says it; "ok" without an error, "none" without a proper end. */
  code: string;
  message: string;
  /** The messages that were answered, still encoded. */
  messages: Buffer[];
}

/** A message as one frame of a Connect stream. */
export function frame(message: Uint8Array, flags = 0): Buffer {
  const head = Buffer.alloc(5);
  head.writeUInt8(flags, 0);
  head.writeUInt32BE(message.length, 1);
  return Buffer.concat([head, message]);
}

/** The type a request to `method` has. */
function contentType(method: DescMethod, codec: Codec): string {
  return `application/${method.methodKind === "unary" ? "" : "connect+"}${codec}`;
}

/** Calls `method` with `message` as it stands, in one frame where the method streams. */
export async function callRaw(
  url: string,
  method: DescMethod,
  message: string | Uint8Array,
  options: { codec?: Codec; version?: HttpVersion; headers?: Record<string, string> } = {},
): Promise<Outcome> {
  const { codec = "json", version = "h1", headers = {} } = options;
  const isUnary = method.methodKind === "unary";
  const body = isUnary ? message : frame(Buffer.from(message as string));
  try {
    const answer = await ask(version, url, {
      method: "POST",
      path: `/${method.parent.typeName}/${method.name}`,
      headers: { "content-type": contentType(method, codec), ...headers },
      body,
    });
    const outcomeOf = isUnary ? unaryOutcome : streamOutcome;
    return outcomeOf(answer.status, answer.body);
  } catch (reason) {
    return resetOutcome(reason);
  }
}

function unaryOutcome(status: number, body: Buffer): Outcome {
  if (status === 200) return { status, code: "ok", message: "", messages: [body] };
  return { status, ...errorOf(body.toString()), messages: [] };
}

function errorOf(text: string): { code: string; message: string } {
  try {
    const { code = "none", message = "" } = JSON.parse(text) as Partial<Outcome>;
    return { code, message };
  } catch {
    return { code: "none", message: text };
  }
}

/** Reads the frames of a Connect stream to its end. */
function streamOutcome(status: number, body: Buffer): Outcome {
  const messages: Buffer[] = [];
  for (let at = 0; at + 5 <= body.length; ) {
    const end = at + 5 + body.readUInt32BE(at + 1);
    const payload = body.subarray(at + 5, end);
    if (((body[at] ?? 0) & 2) === 0) messages.push(payload);
    else {
      const { error } = JSON.parse(payload.toString()) as { error?: Partial<Outcome> };
      const { code = "ok", message = "" } = error ?? {};
      return { status, code, message, messages };
    }
    at = end;
  }
  return { status, code: "none", message: "the stream has no end", messages };
}

/** Calls `method`, which streams, with a body in these pieces, each sent for itself. */
export async function callInPieces(
  url: string,
  method: DescMethod,
  pieces: readonly Uint8Array[],
  options: { codec: Codec; version: HttpVersion; headers: Record<string, string> },
): Promise<Outcome> {
  const path = `/${method.parent.typeName}/${method.name}`;
  const headers = { "content-type": contentType(method, options.codec), ...options.headers };
  try {
    const send = options.version === "h1" ? sendHttp1 : sendHttp2;
    const { status, body } = await send(url, path, headers, pieces);
    return streamOutcome(status, body);
  } catch (reason) {
    return resetOutcome(reason);
  }
}

async function sendHttp1(
  url: string,
  path: string,
  headers: Record<string, string>,
  pieces: readonly Uint8Array[],
) {
  const outgoing = request(`${url}${path}`, { method: "POST", headers, agent: false });
  outgoing.setNoDelay();
  outgoing.on("error", () => {});
  for (const piece of pieces) outgoing.write(piece);
  outgoing.end();
  const [response] = (await once(outgoing, "response")) as [IncomingMessage];
  return { status: response.statusCode ?? 0, body: await buffer(response) };
}

async function sendHttp2(
  url: string,
  path: string,
  headers: Record<string, string>,
  pieces: readonly Uint8Array[],
) {
  const session = connectHttp2(url);
  session.on("error", () => {});
  try {
    const stream = session.request({ ":method": "POST", ":path": path, ...headers });
    for (const piece of pieces) stream.write(piece);
    stream.end();
    const [answer] = (await once(stream, "response")) as [{ ":status": number }];
    return { status: answer[":status"], body: await buffer(stream) };
  } finally {
    session.destroy();
  }
}

/** A code for the stream's end that clients of gRPC and Connect read as an error of theirs. */
function resetOutcome(reason: unknown): Outcome {
  const { message } = reason as Error;
  if (!message.includes("NGHTTP2_ENHANCE_YOUR_CALM")) throw reason;
  return { status: 0, code: "resource_exhausted", message, messages: [] };
}
