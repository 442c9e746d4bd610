import type { IncomingMessage, OutgoingHttpHeaders, ServerResponse } from "node:http";
import type { Caller } from "../init/caller.ts";

/**
 * One plain HTTP path of the envd contract. HTTP/2 requests arrive through Node's compatibility
 * layer, which has the same shape. The promise settles when the response has ended; what it
 * throws is answered by the router: `HttpError` as it says, anything else as a 500.
 */
export type Endpoint = (
  request: IncomingMessage,
  response: ServerResponse,
  call: HttpCall,
) => Promise<void>;

/** What the router knows about a request before an endpoint sees it. */
export interface HttpCall {
  /** The decoded query. */
  query: URLSearchParams;
  /** Aborts when the client is gone. */
  signal: AbortSignal;
  /** Who the request speaks for. */
  caller: Caller;
}

/**
 * How a failure is written.
 *
 * - `json`   `{"code":status,"message":…}`.
 * - `rpc`    `{"code":"unauthenticated","message":…}`, as RPCs say it: a 400 is `invalid_argument`.
 * - `text`   the bare message.
 * - `empty`  no body.
 */
export type ErrorForm = "json" | "rpc" | "text" | "empty";

/** A failure with the status and the words the contract prescribes. */
export class HttpError extends Error {
  readonly status: number;
  readonly form: ErrorForm;

  constructor(status: number, message: string, form: ErrorForm = "json") {
    super(message);
    this.name = "HttpError";
    this.status = status;
    this.form = form;
  }
}

const RPC_CODES: Record<number, string> = { 401: "unauthenticated", 503: "unavailable" };

/** The headers and the body that `error` is answered with. */
export function errorReply(error: HttpError): { headers: OutgoingHttpHeaders; body: string } {
  const headers: OutgoingHttpHeaders = {};
  let body = "";
  if (error.form !== "empty") {
    const { form, message } = error;
    const rpcCode = RPC_CODES[error.status] ?? "invalid_argument";
    const code = form === "rpc" ? rpcCode : error.status;
    body = `${form === "text" ? message : JSON.stringify({ code, message })}\n`;
    headers["Content-Type"] =
      `${form === "text" ? "text/plain" : "application/json"}; charset=utf-8`;
    headers["X-Content-Type-Options"] = "nosniff";
  }
  headers["Content-Length"] = Buffer.byteLength(body);
  return { headers, body };
}

/** Answers with `error`. A response that has begun can only be cut off. */
export function sendError(response: ServerResponse, error: HttpError): void {
  if (response.headersSent) {
    response.destroy();
    return;
  }
  const { headers, body } = errorReply(error);
  response.writeHead(error.status, headers);
  response.end(body);
}

/** Answers with `value` as JSON. */
export function sendJson(response: ServerResponse, status: number, value: unknown): void {
  const body = Buffer.from(JSON.stringify(value));
  response.writeHead(status, {
    "Content-Type": "application/json",
    "Content-Length": body.byteLength,
    "Cache-Control": "no-store",
  });
  response.end(body);
}

/** Answers 204 with no body, not to be cached. */
export function sendNothing(response: ServerResponse): void {
  response.writeHead(204, { "Cache-Control": "no-store" });
  response.end();
}
