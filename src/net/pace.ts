import type { ServerResponse } from "node:http";
import type { Http2ServerResponse } from "node:http2";
import { Peer } from "./peer.ts";

/** What is held for a peer that has stopped. */
const LEAST_BYTES = 8 * 1024;
/** Who has taken more than a receive buffer is large from the start has really read. */
const UNREAD_BYTES = 128 * 1024;
/** More than that on its way is a sign that the peer does not keep up, and this is its most then. */
const BEHIND_BYTES = 1_536 * 1024;
const MOST_BEHIND_BYTES = 512 * 1024;

/**
 * How much to hand to `response` next, in bytes. It grows with what the peer has taken so far, as
 * all that is handed over is held until the peer's system has room for it.
 */
export function paceBytes(response: ServerResponse): number {
  const { stream } = response as unknown as Http2ServerResponse;
  const session = stream?.session;
  const { socket } = response;
  const peer =
    session !== undefined ? Peer.ofSession(session) : socket ? Peer.ofSocket(socket) : undefined;
  if (peer === undefined) return LEAST_BYTES;
  const { takenBytes } = peer;
  const share = takenBytes < UNREAD_BYTES ? 4 : 1;
  const bytes = Math.max(LEAST_BYTES, Math.floor(takenBytes / share));
  return peer.waitingBytes > BEHIND_BYTES ? Math.min(bytes, MOST_BEHIND_BYTES) : bytes;
}
