import http, { type ClientRequest, type IncomingMessage } from "node:http";
import https from "node:https";
import { GuestError } from "./errors.ts";
import { closeIdleSockets, openAgent } from "./http1-agent.ts";

/** How much of a body is handed to the kernel at a time: each part that it takes is progress. */
const PART_BYTES = 64 * 1024;

/** One request to a plain path. */
export interface PlainRequest {
  method?: "GET" | "POST";
  path: string;
  body?: string | Uint8Array;
  contentType?: string;
  /** How long the answer may take to begin, in ms, from when the body is sent. */
  headersMs: number;
  signal?: AbortSignal | undefined;
}

/** What was answered. */
export interface PlainAnswer {
  status: number;
  headers: http.IncomingHttpHeaders;
  body: Buffer;
}

/** The guest's plain HTTP paths, over connections that are kept. */
export class PlainHttp {
  readonly #url: URL;
  readonly #headers: Readonly<Record<string, string>>;
  readonly #stallMs: number;
  readonly #client: typeof http | typeof https;
  readonly #agent: http.Agent | https.Agent;

  /** A body that does not move for `stallMs`, in either direction, fails its request. */
  constructor(url: string, headers: Readonly<Record<string, string>>, stallMs: number) {
    this.#url = new URL(url);
    this.#headers = headers;
    this.#stallMs = stallMs;
    this.#client = this.#url.protocol === "https:" ? https : http;
    this.#agent = openAgent(url);
  }

  /** Asks. Rejects with a `GuestError` when there is no answer; any status is one. */
  request(request: PlainRequest): Promise<PlainAnswer> {
    const { method = "GET", path, body = "", contentType, headersMs, signal } = request;
    const bytes = bytesOf(body);
    const headers: http.OutgoingHttpHeaders = {
      ...this.#headers,
      "content-length": bytes.length,
    };
    if (contentType !== undefined) headers["content-type"] = contentType;
    return new Promise((resolve, reject) => {
      const fail = (cause: unknown) => reject(toUnreachable(cause, signal));
      const options = { agent: this.#agent, method, headers, ...(signal && { signal }) };
      const sent = this.#client.request(new URL(path, this.#url), options);
      const late = () => sent.destroy(new GuestError("timeout", `${path}: no answer in time`));
      let isAnswered = false;
      let timer = setTimeout(late, bytes.length === 0 ? headersMs : this.#stallMs);
      sent.once("close", () => clearTimeout(timer));
      sent.once("error", fail);
      sent.once("response", (response) => {
        isAnswered = true;
        clearTimeout(timer);
        collect(path, response, this.#stallMs).then(resolve, fail);
      });
      const onSent = () => {
        clearTimeout(timer);
        if (!sent.destroyed && !isAnswered) timer = setTimeout(late, headersMs);
      };
      send(sent, bytes, () => timer.refresh()).then(onSent, fail);
    });
  }

  /** Closes connections on which nothing goes on. */
  closeIdle(): void {
    closeIdleSockets(this.#agent);
  }

  /** Closes every connection. */
  drop(): void {
    this.#agent.destroy();
  }
}

function bytesOf(body: string | Uint8Array): Buffer {
  if (typeof body === "string") return Buffer.from(body);
  return Buffer.from(body.buffer, body.byteOffset, body.byteLength);
}

/** Sends a body part by part and calls `onProgress` for each that the kernel has taken. */
async function send(sent: ClientRequest, body: Buffer, onProgress: () => void): Promise<void> {
  for (let at = 0; at < body.length; at += PART_BYTES) {
    const part = body.subarray(at, at + PART_BYTES);
    await new Promise<void>((resolve, reject) => {
      sent.write(part, (error) => (error ? reject(error) : resolve()));
    });
    onProgress();
  }
  sent.end();
}

async function collect(
  path: string,
  response: IncomingMessage,
  stallMs: number,
): Promise<PlainAnswer> {
  const parts: Buffer[] = [];
  const late = () =>
    response.destroy(new GuestError("timeout", `${path}: nothing came for ${stallMs} ms`));
  const timer = setTimeout(late, stallMs);
  try {
    for await (const part of response) {
      parts.push(part as Buffer);
      timer.refresh();
    }
  } finally {
    clearTimeout(timer);
  }
  const { statusCode: status = 0, headers } = response;
  return { status, headers, body: Buffer.concat(parts) };
}

function toUnreachable(cause: unknown, signal: AbortSignal | undefined): unknown {
  if (cause instanceof GuestError) return cause;
  if (signal?.aborted === true) return signal.reason;
  const message = cause instanceof Error ? cause.message : String(cause);
  return new GuestError("unreachable", `the guest does not answer: ${message}`, { cause });
}
