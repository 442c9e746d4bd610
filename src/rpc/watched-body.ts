import type { IncomingMessage, ServerResponse } from "node:http";
import type { StallWatch } from "../net/progress.ts";
import { watchRequest } from "../net/watch-request.ts";
import { FramePosition } from "./frame-position.ts";

/** A body that a handler reads. */
export interface WatchedBodyOptions {
  request: IncomingMessage;
  response: ServerResponse;
  stalls: StallWatch;
  /** Whether its peer may be silent between two messages for as long as it likes. */
  mayPause: boolean;
}

/**
 * Hands on what `body` has. While more is waited for, a peer that has stopped is looked out for:
 * what the handler has not asked for yet is not the peer's to send.
 */
export async function* watchedBody(
  body: AsyncIterable<Uint8Array>,
  { request, response, stalls, mayPause }: WatchedBodyOptions,
): AsyncIterable<Uint8Array> {
  const position = mayPause ? new FramePosition() : undefined;
  let receivedBytes = 0;
  let isAsking = false;
  const isWaiting = () => isAsking && !request.complete && position?.isBetween !== true;
  const watched = watchRequest({
    request,
    response,
    isWaiting,
    receivedBytes: () => receivedBytes,
  });
  const chunks = body[Symbol.asyncIterator]();
  try {
    for (;;) {
      isAsking = true;
      if (isWaiting()) stalls.note(watched);
      const { done, value } = await chunks.next();
      isAsking = false;
      if (done === true) return;
      receivedBytes += value.byteLength;
      position?.pass(value);
      yield value;
    }
  } finally {
    stalls.forget(watched);
    await chunks.return?.();
  }
}
