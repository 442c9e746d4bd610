import type { IncomingMessage, ServerResponse } from "node:http";
import type { Duplex } from "node:stream";

/** How long a client that was refused may take to close. */
const LINGER_MS = 1_000;

/** What a request that no parser takes is answered with, by Node's name for what is wrong. */
const REFUSALS: Record<string, string> = {
  ERR_HTTP_REQUEST_TIMEOUT: "408 Request Timeout",
  HPE_HEADER_OVERFLOW: "431 Request Header Fields Too Large",
};

/** A request that no parser takes is answered when that is possible, and never kept. */
export function onClientError(reason: Error & { code?: string }, socket: Duplex): void {
  if (socket.writableEnded) return;
  const { _httpMessage: answering } = socket as { _httpMessage?: ServerResponse | null };
  // The client would take this answer for the rest of one that has begun.
  if (!socket.writable || answering?.headersSent === true) {
    socket.destroy();
    return;
  }
  const status = REFUSALS[reason.code ?? ""] ?? "400 Bad Request";
  socket.end(`HTTP/1.1 ${status}\r\nConnection: close\r\nContent-Length: 0\r\n\r\n`);
  // Not at once: what still comes to a closed connection makes the client lose the answer.
  const timer = setTimeout(() => socket.destroy(), LINGER_MS);
  socket.once("close", () => clearTimeout(timer));
}

/**
 * Refuses an `Expect` that is not `100-continue`. The client may be waiting to send a body, which
 * nobody would read, so it is not waited for.
 */
export function refuseExpectation(_request: IncomingMessage, response: ServerResponse): void {
  response.writeHead(417, { Connection: "close", "Content-Length": 0 }).end();
}
