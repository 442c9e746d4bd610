import { once } from "node:events";
import {
  type IncomingHttpHeaders,
  type IncomingMessage,
  type OutgoingHttpHeaders,
  request,
} from "node:http";
import { connect } from "node:http2";
import { buffer } from "node:stream/consumers";

/** What a server answered. */
export interface Answer {
  status: number;
  headers: IncomingHttpHeaders;
  body: Buffer;
  /** The body as text. */
  text: string;
}

/** One request, as far as it differs from `GET /`. */
export interface RequestOptions {
  method?: string;
  path?: string;
  headers?: OutgoingHttpHeaders;
  body?: Uint8Array | string;
}

/** The HTTP versions that a plain request is made over. */
export const httpVersions = ["h1", "h2"] as const;
/** One of them. */
export type HttpVersion = (typeof httpVersions)[number];

/** Makes one request on a connection of its own, and sends exactly the headers given. */
export function ask(version: HttpVersion, url: string, options: RequestOptions): Promise<Answer> {
  return version === "h1" ? askHttp1(url, options) : askHttp2(url, options);
}

async function askHttp1(
  url: string,
  { method, path, headers, body }: RequestOptions,
): Promise<Answer> {
  const outgoing = request(url, { method, path, headers: { ...headers }, agent: false });
  // An answer may come, and the connection close, before everything is sent.
  outgoing.on("error", () => {});
  outgoing.end(body);
  const [response] = (await once(outgoing, "response")) as [IncomingMessage];
  const bytes = await buffer(response);
  return answerOf(response.statusCode ?? 0, response.headers, bytes);
}

async function askHttp2(
  url: string,
  { method, path, headers, body }: RequestOptions,
): Promise<Answer> {
  const session = connect(url);
  try {
    const stream = session.request({
      ":method": method ?? "GET",
      ":path": path ?? "/",
      ...headers,
    });
    if (body === undefined) stream.end();
    else stream.end(body);
    const [received] = (await once(stream, "response")) as [
      IncomingHttpHeaders & { ":status": number },
    ];
    const bytes = await buffer(stream);
    return answerOf(received[":status"], received, bytes);
  } finally {
    session.destroy();
  }
}

function answerOf(status: number, headers: IncomingHttpHeaders, body: Buffer): Answer {
  return { status, headers, body, text: body.toString() };
}

/** The target of a request to `/files`. */
export function filesPath(query: Record<string, string>): string {
  return `/files?${new URLSearchParams(query).toString()}`;
}

/** A form with these parts, each given as its head and its body. */
export function form(
  boundary: string,
  parts: { head: string; body: string | Uint8Array }[],
): Buffer {
  return Buffer.concat([
    ...parts.flatMap(({ head, body }) => [
      Buffer.from(`--${boundary}\r\n${head}\r\n\r\n`),
      Buffer.from(body as string),
      Buffer.from("\r\n"),
    ]),
    Buffer.from(`--${boundary}--\r\n`),
  ]);
}
