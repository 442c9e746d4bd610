import type { IncomingMessage, ServerResponse } from "node:http";

const EXPOSED = [
  "Grpc-Status",
  "Grpc-Message",
  "Grpc-Status-Details-Bin",
  "Location",
  "Cache-Control",
  "X-Content-Type-Options",
  "Connect-Content-Encoding",
  "Connect-Protocol-Version",
  "Grpc-Encoding",
].join(", ");

/** Whether a browser asks what a page of another origin may send. */
export function isPreflight({ method, headers }: IncomingMessage): boolean {
  return method === "OPTIONS" && headers["access-control-request-method"] !== undefined;
}

/**
 * Lets pages of other origins read answers. Returns `true` when the request was a preflight and
 * has been answered.
 */
export function answerCors(request: IncomingMessage, response: ServerResponse): boolean {
  const { origin } = request.headers;
  if (origin === undefined) return false;
  response.setHeader("Access-Control-Allow-Origin", "*");
  if (!isPreflight(request)) {
    response.setHeader("Access-Control-Expose-Headers", EXPOSED);
    return false;
  }
  response.writeHead(204, {
    "Access-Control-Allow-Methods": "HEAD, GET, POST, PUT, PATCH, DELETE",
    "Access-Control-Allow-Headers": request.headers["access-control-request-headers"] ?? "*",
    "Access-Control-Max-Age": "7200",
    Vary: "Access-Control-Request-Method, Access-Control-Request-Headers",
  });
  response.end();
  return true;
}
