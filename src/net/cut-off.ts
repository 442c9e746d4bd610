import type { ServerResponse } from "node:http";
import { constants, type Http2ServerResponse } from "node:http2";
import { Peer } from "./peer.ts";

/**
 * Breaks off a request and its answer because their peer has made no progress for `limitMs`. Over
 * HTTP/1.1 the connection is reset, so that what the peer has not taken is forgotten in the kernel
 * too. Over HTTP/2 only the stream is, unless the whole connection stands still.
 */
export function cutOff(response: ServerResponse, limitMs: number): void {
  const { stream } = response as unknown as Http2ServerResponse;
  if (stream === undefined) {
    const socket = response.socket ?? response.req.socket;
    if (socket !== null) Peer.ofSocket(socket).reset();
    return;
  }
  const { session } = stream;
  const peer = session === undefined ? undefined : Peer.ofSession(session);
  const isStuck = peer !== undefined && peer.waitingBytes > 0 && peer.sinceTakenMs > 0.9 * limitMs;
  // One that is being closed in order waits for what is still to be sent, and hears no other word.
  if (stream.closed) stream.destroy();
  else stream.close(constants.NGHTTP2_INTERNAL_ERROR);
  // Looked at from time to time only, so it may have been seen a little later than it was.
  if (isStuck) peer?.reset();
}
