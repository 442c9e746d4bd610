import type { IncomingMessage, ServerResponse } from "node:http";
import type { Http2ServerRequest } from "node:http2";
import { constants } from "node:http2";
import { startTimer } from "../lib/timer.ts";
import { errorReply, type HttpError } from "./endpoint.ts";

/** How much of an unwanted body is still taken, for clients that only read after they have sent. */
const DRAINED_BYTES = 64 * 1024 * 1024;
/** How long. */
const DRAINED_MS = 5_000;

/**
 * Answers an upload with `error` before its body has been read. The client can read the answer at
 * once; what it still sends is thrown away for a while, then the connection is closed.
 */
export async function refuse(
  request: IncomingMessage,
  response: ServerResponse,
  error: HttpError,
): Promise<void> {
  const { headers, body } = errorReply(error);
  const { stream } = request as unknown as Http2ServerRequest;
  if (stream !== undefined) {
    response.writeHead(error.status, headers);
    response.end(body);
    await drain(request);
    // Tells the client that nothing went wrong, but that nothing more is read.
    if (!request.readableEnded) stream.close(constants.NGHTTP2_NO_ERROR);
    return;
  }
  const isComplete = request.complete;
  response.writeHead(error.status, isComplete ? headers : { ...headers, Connection: "close" });
  // Not ended yet: ending closes the connection, and data that arrives at a closed connection
  // makes the client's system throw away the answer.
  if (!isComplete) {
    response.write(body);
    await drain(request);
    response.end();
  } else response.end(body);
}

/** Throws away what still comes, until that is the end, or enough. */
function drain(request: IncomingMessage): Promise<void> {
  return new Promise((resolve) => {
    let bytes = 0;
    const leave = () => {
      request.off("data", onData).off("end", leave).off("close", leave);
      timer[Symbol.dispose]();
      request.pause();
      resolve();
    };
    const onData = (chunk: Uint8Array) => {
      bytes += chunk.byteLength;
      if (bytes > DRAINED_BYTES) leave();
    };
    const timer = startTimer(DRAINED_MS, leave);
    if (request.destroyed || request.readableEnded) {
      leave();
      return;
    }
    request.on("data", onData).on("end", leave).on("close", leave);
    request.resume();
  });
}
