import type { ServerResponse } from "node:http";
import type { Http2ServerResponse, Http2Session, ServerHttp2Stream } from "node:http2";
import type { Socket } from "node:net";
import { Claims, isWaiting } from "./claims.ts";
import { cutOff } from "./cut-off.ts";
import { Peer } from "./peer.ts";
import type { StallWatch, Watched } from "./progress.ts";
import { stallMsOf } from "./stall-header.ts";

/** What a connection moves without moving any stream: acknowledgements of PING and SETTINGS. */
const CHATTER_BYTES = 256;

/** What is sent to a peer, as the stall watch sees it. */
export interface Sending {
  response: ServerResponse;
  /** How many bytes have been written to the response so far. */
  writtenBytes(): number;
  /** Decides what happens to a peer that has stopped. Default: it is cut off. */
  onStall?: (limitMs: number) => void;
}

/** A response as the stall watch sees it. */
export function watchResponse(sending: Sending): Watched {
  const { response, onStall = (limitMs) => cutOff(response, limitMs) } = sending;
  const stallMs = stallMsOf(response.req.headers);
  const { stream } = response as unknown as Http2ServerResponse;
  if (stream !== undefined) return { ...watchStream(stream, sending), stallMs, onStall };
  // A response has no connection before its turn has come, a request that was given up has none.
  const socket = response.socket ?? response.req.socket;
  const peer = socket === null ? undefined : Peer.ofSocket(socket);
  return {
    isWaiting: () => (peer?.waitingBytes ?? 0) > 0,
    taken: () => peer?.takenBytes ?? 0,
    windowBytes: (silentMs) => peer?.windowBytes(silentMs) ?? 0,
    stallMs,
    onStall,
  };
}

/**
 * An HTTP/2 stream: what its own queue got rid of counts. What the connection moved counts as
 * well while no sibling has a claim to it, as a slow peer takes less than a whole write at once.
 */
function watchStream(
  stream: ServerHttp2Stream,
  { writtenBytes }: Sending,
): Pick<Watched, "isWaiting" | "taken" | "windowBytes"> {
  const { session } = stream;
  const peer = session === undefined ? undefined : Peer.ofSession(session);
  const siblings = session === undefined ? new Claims() : claimsOn(session);
  let credit = 0;
  let seen = peer?.takenBytes ?? 0;
  siblings.add(stream);
  return {
    isWaiting: () => isWaiting(stream),
    taken: () => {
      const moved = peer?.takenBytes ?? 0;
      if (moved - seen >= CHATTER_BYTES && siblings.isOne) credit += moved - seen;
      seen = moved;
      return credit + writtenBytes() - stream.writableLength;
    },
    windowBytes: (silentMs) => {
      const bytes = peer?.windowBytes(silentMs) ?? 0;
      // While the connection itself stands, it is not the stream's window that hides anything.
      const isHeldBelow = bytes === 0 || (peer?.waitingBytes ?? 0) > 0;
      return isHeldBelow ? bytes : Math.max(bytes, streamWindowOf(session));
    },
  };
}

/** More than this is still on the way for no short answer to a peer that reads. */
const TAIL_BYTES = 16 * 1024;

/**
 * Watches what is left on its way to the peer once `response` has been ended: nobody writes any
 * more, and a peer that takes no more would keep it, and the connection, for ever.
 */
export function watchEnd(response: ServerResponse, stalls: StallWatch): void {
  const end = response.end.bind(response) as (...args: unknown[]) => ServerResponse;
  response.end = (...args: unknown[]) => {
    end(...args);
    setImmediate(() => {
      if (isLeft(response)) stalls.note(watchResponse({ response, writtenBytes: () => 0 }));
    });
    return response;
  };
}

function isLeft(response: ServerResponse): boolean {
  const { stream } = response as unknown as Http2ServerResponse;
  if (stream !== undefined) return isWaiting(stream);
  const socket: Socket | null = response.req.socket;
  if (socket === null || socket.destroyed) return false;
  return !response.writableFinished || Peer.ofSocket(socket).waitingBytes > TAIL_BYTES;
}

const claims = new WeakMap<Http2Session, Claims>();

function claimsOn(session: Http2Session): Claims {
  const found = claims.get(session) ?? new Claims();
  claims.set(session, found);
  return found;
}

/** A client of HTTP/2 gives its window back in large pieces, and Node's when half of it is read. */
function streamWindowOf(session: Http2Session | undefined): number {
  return session === undefined || session.destroyed
    ? 0
    : (session.remoteSettings.initialWindowSize ?? 0);
}
