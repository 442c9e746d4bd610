import type { IncomingMessage, ServerResponse } from "node:http";
import type { Http2ServerRequest, Http2Session } from "node:http2";
import { cutOff } from "./cut-off.ts";
import { Peer } from "./peer.ts";
import type { StallWatch, Watched } from "./progress.ts";
import { stallMsOf } from "./stall-header.ts";

/** A request whose body somebody reads. */
export interface Receiving {
  request: IncomingMessage;
  response: ServerResponse;
  /** Whether somebody waits for bytes, and has none to work on. */
  isWaiting(): boolean;
  /** How many bytes of the body have been taken so far. */
  receivedBytes(): number;
}

/** The body of a request as the stall watch sees it. */
export function watchRequest({ request, response, isWaiting, receivedBytes }: Receiving): Watched {
  const { stream } = request as unknown as Http2ServerRequest;
  const session = stream?.session;
  const peer =
    stream === undefined
      ? Peer.ofSocket(request.socket)
      : session === undefined
        ? undefined
        : Peer.ofSession(session);
  return {
    isWaiting: () => isWaiting() && !isHeldUp(session),
    // What comes over HTTP/1.1 is all of this body, and TLS hides the beginning of a record.
    taken: () => (stream === undefined ? (peer?.receivedBytes ?? 0) : receivedBytes()),
    ...(stream !== undefined && {
      windowBytes: (stallMs: number) => peer?.unseenBytes(stallMs) ?? 0,
    }),
    stallMs: stallMsOf(request.headers),
    onStall: (limitMs) => cutOff(response, limitMs),
  };
}

/** Whether the peer may not send because other requests of its connection are not read by us. */
function isHeldUp(session: Http2Session | undefined): boolean {
  return session !== undefined && !session.destroyed && (session.state.localWindowSize ?? 1) <= 0;
}

/**
 * Watches the body of `request` whenever somebody reads it: a peer that stops in the middle of it is
 * cut off. While nobody reads, or what came has not been dealt with, it is not the peer who is late.
 */
export function watchBody(
  request: IncomingMessage,
  response: ServerResponse,
  stalls: StallWatch,
): void {
  let receivedBytes = 0;
  let watched: Watched | undefined;
  const isWaiting = () =>
    !request.complete &&
    !request.destroyed &&
    request.readableFlowing === true &&
    request.readableLength === 0;
  const onResume = () => {
    // What nobody has read is thrown away after the answer, without a connection any more.
    if (request.socket === null) return;
    if (watched === undefined) {
      watched = watchRequest({ request, response, isWaiting, receivedBytes: () => receivedBytes });
      request.on("data", (chunk: Uint8Array) => {
        receivedBytes += chunk.byteLength;
      });
    }
    if (!request.complete) stalls.note(watched);
  };
  const rest = () => {
    if (watched !== undefined) stalls.forget(watched);
  };
  request.on("resume", onResume).once("end", rest).once("close", rest);
}
