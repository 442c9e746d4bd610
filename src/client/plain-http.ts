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
  headers?: Readonly<Record<string, string>>;
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

/** The same as its body comes, which is to be read to its end or left by `return`. */
export interface OpenAnswer extends Omit<PlainAnswer, "body"> {
  parts: AsyncGenerator<Buffer>;
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
  async request(request: PlainRequest): Promise<PlainAnswer> {
    const { parts, ...answer } = await this.open(request);
    const all: Buffer[] = [];
    for await (const part of parts) all.push(part);
    return { ...answer, body: Buffer.concat(all) };
  }

  /** The same, with the body as it comes. */
  async open(request: PlainRequest): Promise<OpenAnswer> {
    try {
      const response = await this.#send(request);
      const { statusCode: status = 0, headers } = response;
      return { status, headers, parts: this.#partsOf(request, response) };
    } catch (cause) {
      throw toUnreachable(cause, request.signal);
    }
  }

  #send({ method = "GET", path, body = "", ...request }: PlainRequest): Promise<IncomingMessage> {
    const { headersMs, signal } = request;
    const bytes = bytesOf(body);
    const headers = { ...this.#headers, ...request.headers, "content-length": bytes.length };
    return new Promise((resolve, reject) => {
      const options = { agent: this.#agent, method, headers, ...(signal && { signal }) };
      const sent = this.#client.request(new URL(path, this.#url), options);
      const late = () => sent.destroy(new GuestError("timeout", `${path}: no answer in time`));
      let isAnswered = false;
      let timer = setTimeout(late, bytes.length === 0 ? headersMs : this.#stallMs);
      sent.once("close", () => clearTimeout(timer));
      sent.once("error", reject);
      sent.once("response", (response) => {
        isAnswered = true;
        clearTimeout(timer);
        resolve(response);
      });
      const onSent = () => {
        clearTimeout(timer);
        if (!sent.destroyed && !isAnswered) timer = setTimeout(late, headersMs);
      };
      send(sent, bytes, () => timer.refresh()).then(onSent, reject);
    });
  }

  /** What its reader takes between two parts does not count. */
  async *#partsOf({ path, signal }: PlainRequest, response: IncomingMessage) {
    const ms = this.#stallMs;
    const late = new GuestError("timeout", `${path}: nothing came for ${ms} ms`);
    const parts = response[Symbol.asyncIterator]() as AsyncIterator<Buffer>;
    try {
      for (;;) {
        const timer = setTimeout(() => response.destroy(late), ms);
        const next = await parts.next().finally(() => clearTimeout(timer));
        if (next.done === true) return;
        yield next.value;
      }
    } catch (cause) {
      throw toUnreachable(cause, signal);
    } finally {
      await parts.return?.();
    }
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

function toUnreachable(cause: unknown, signal: AbortSignal | undefined): unknown {
  if (cause instanceof GuestError) return cause;
  if (signal?.aborted === true) return signal.reason;
  const message = cause instanceof Error ? cause.message : String(cause);
  return new GuestError("unreachable", `the guest does not answer: ${message}`, { cause });
}
