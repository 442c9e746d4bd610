import type { ServerResponse } from "node:http";
import type { Http2ServerResponse } from "node:http2";
import { constants } from "node:http2";

/** The client went away while it was being answered. Nobody is left to be told. */
export class ClientGone extends Error {
  constructor() {
    super("the client is gone");
    this.name = "ClientGone";
  }
}

/**
 * Writes `chunk` and resolves when it has been handed over, so that its memory may be used again.
 * The one place that waits for a client to take a body. Rejects with `ClientGone` when `signal`
 * aborts or the response closes.
 */
export function writeChunk(
  response: ServerResponse,
  chunk: Uint8Array,
  signal: AbortSignal,
): Promise<void> {
  return new Promise((resolve, reject) => {
    const settle = (isWritten: boolean) => {
      response.off("close", onGone);
      signal.removeEventListener("abort", onGone);
      if (isWritten) resolve();
      else reject(new ClientGone());
    };
    const onGone = () => settle(false);
    if (signal.aborted || response.destroyed) {
      onGone();
      return;
    }
    response.once("close", onGone);
    signal.addEventListener("abort", onGone, { once: true });
    // The callback, as "drain" may have come before one can listen for it.
    response.write(chunk, (error) => settle(error === null || error === undefined));
  });
}

/** Breaks off a response whose body cannot be what its headers promised. */
export function cutOff(response: ServerResponse): void {
  const { stream } = response as unknown as Http2ServerResponse;
  if (stream === undefined) response.destroy();
  else stream.close(constants.NGHTTP2_INTERNAL_ERROR);
}
