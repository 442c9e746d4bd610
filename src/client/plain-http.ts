import http, { type IncomingMessage } from "node:http";
import https from "node:https";
import { GuestError } from "./errors.ts";

/** One request to a plain path. */
export interface PlainRequest {
  method?: "GET" | "POST";
  path: string;
  body?: string | Uint8Array;
  contentType?: string;
  /** How long the answer may take to begin, in ms. */
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
  readonly #client: typeof http | typeof https;
  #agent: http.Agent | https.Agent;

  constructor(url: string, headers: Readonly<Record<string, string>>) {
    this.#url = new URL(url);
    this.#headers = headers;
    this.#client = this.#url.protocol === "https:" ? https : http;
    this.#agent = new this.#client.Agent({ keepAlive: true });
  }

  /** Asks. Rejects with a `GuestError` when there is no answer; any status is one. */
  request(request: PlainRequest): Promise<PlainAnswer> {
    const { method = "GET", path, body = "", contentType, headersMs, signal } = request;
    const headers: http.OutgoingHttpHeaders = {
      ...this.#headers,
      "content-length": Buffer.byteLength(body),
    };
    if (contentType !== undefined) headers["content-type"] = contentType;
    return new Promise((resolve, reject) => {
      const options = { agent: this.#agent, method, headers, ...(signal && { signal }) };
      const sent = this.#client.request(new URL(path, this.#url), options);
      const late = () => sent.destroy(new GuestError("timeout", `${path}: no answer in time`));
      const timer = setTimeout(late, headersMs);
      sent.once("close", () => clearTimeout(timer));
      sent.once("error", (cause) => reject(toUnreachable(cause, signal)));
      sent.once("response", (response) => {
        clearTimeout(timer);
        collect(response).then(resolve, (cause: unknown) => reject(toUnreachable(cause, signal)));
      });
      sent.end(body);
    });
  }

  /** Closes connections on which nothing goes on. */
  closeIdle(): void {
    for (const sockets of Object.values(this.#agent.freeSockets)) {
      for (const socket of sockets ?? []) socket.destroy();
    }
  }

  /** Closes every connection. */
  drop(): void {
    this.#agent.destroy();
  }
}

async function collect(response: IncomingMessage): Promise<PlainAnswer> {
  const parts: Buffer[] = [];
  for await (const part of response) parts.push(part as Buffer);
  const { statusCode: status = 0, headers } = response;
  return { status, headers, body: Buffer.concat(parts) };
}

function toUnreachable(cause: unknown, signal: AbortSignal | undefined): unknown {
  if (cause instanceof GuestError) return cause;
  if (signal?.aborted === true) return signal.reason;
  const message = cause instanceof Error ? cause.message : String(cause);
  return new GuestError("unreachable", `the guest does not answer: ${message}`, { cause });
}
