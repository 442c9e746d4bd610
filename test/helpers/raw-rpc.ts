import { once } from "node:events";
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
export function contentType(method: DescMethod, codec: Codec): string {
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
    const { message } = reason as Error;
    if (!message.includes("NGHTTP2_ENHANCE_YOUR_CALM")) throw reason;
    // What clients of gRPC and Connect read a stream's end by this code as.
    return { status: 0, code: "resource_exhausted", message, messages: [] };
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
export function streamOutcome(status: number, body: Buffer): Outcome {
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

/** Sends `body` in these pieces over one HTTP/2 stream, each as a DATA frame of its own. */
export async function sendPieces(
  url: string,
  { path, headers, pieces }: { path: string; headers: object; pieces: readonly Uint8Array[] },
): Promise<{ status: number; body: Buffer }> {
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
