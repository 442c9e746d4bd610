import { constants, type ServerHttp2Session, type ServerHttp2Stream } from "node:http2";
import { EmptyFrames, type Traffic } from "./empty-frames.ts";
import { type RateLimit, RateMeter } from "./rate-limit.ts";

/** What no honest client comes near. A client that keeps a connection alive pings once in seconds. */
const PINGS: RateLimit = { burst: 100, perSecond: 10 };
const SETTINGS: RateLimit = { burst: 32, perSecond: 1 };
/** Streams that this side had to reset because of what came on them. */
const FAULTS: RateLimit = { burst: 100, perSecond: 10 };

const FAULT_CODES: ReadonlySet<number> = new Set([
  constants.NGHTTP2_PROTOCOL_ERROR,
  constants.NGHTTP2_FLOW_CONTROL_ERROR,
  constants.NGHTTP2_STREAM_CLOSED,
  constants.NGHTTP2_FRAME_SIZE_ERROR,
  constants.NGHTTP2_REFUSED_STREAM,
]);

/** What nghttp2 gives up with when more than 1,000 frames come at once that want an answer. */
const NGHTTP2_ERR_FLOODED = -904;

/** How long an offender may take to read why it is cut off, in ms. */
const GOODBYE_MS = 500;

/** How a connection is given up. */
interface Cuts {
  /** Reads nothing more from it. */
  deafen(): void;
  /** Closes it by RST. */
  reset(): void;
}

/** One session, and how it is given up. */
export interface GuardedSession extends Cuts {
  session: ServerHttp2Session;
  /** Told what the client has done too often. */
  onOffence(what: string): void;
}

/**
 * Ends `session` when its client sends more of what costs only this side: GOAWAY with
 * ENHANCE_YOUR_CALM, then the connection is cut. What Node counts by itself is set in its options.
 * The returned function wants to know from time to time what has gone over the connection.
 */
export function guardSession(guarded: GuardedSession): (traffic: Traffic) => void {
  const { session, onOffence, ...cuts } = guarded;
  let isOver = false;
  const offend = (what: string) => {
    if (isOver) return;
    isOver = true;
    onOffence(what);
    expel(session, cuts);
  };
  const limit = (what: string, rate: RateLimit) => {
    const meter = new RateMeter(rate);
    return () => {
      if (meter.count()) offend(what);
    };
  };
  const onFault = limit("it makes streams fail", FAULTS);
  const emptyFrames = new EmptyFrames();
  session.on("ping", limit("it sends too many PING", PINGS));
  session.on("remoteSettings", limit("it sends too many SETTINGS", SETTINGS));
  session.on("stream", (stream: ServerHttp2Stream) => {
    emptyFrames.add(stream);
    stream.once("close", () => {
      if (FAULT_CODES.has(stream.rstCode)) onFault();
    });
  });
  onFlooded(session, () => offend("it sends too much at once that wants an answer"));
  return (traffic) => {
    if (emptyFrames.isFlood(traffic)) offend("it sends too many frames that carry nothing");
  };
}

/** Node would destroy `session` at once, and tell its client of an internal error. */
function onFlooded(session: ServerHttp2Session, act: () => void): void {
  const destroy = session.destroy.bind(session);
  session.destroy = (error, code) => {
    const { errno } = (error ?? {}) as NodeJS.ErrnoException;
    if (errno === NGHTTP2_ERR_FLOODED) act();
    else destroy(error, code);
  };
}

/**
 * The client is told, and has a moment to read it. What it sends meanwhile is not looked at; and
 * nothing is closed in order, as what comes to a closed connection would make it lose the answer.
 */
function expel(session: ServerHttp2Session, { deafen, reset }: Cuts): void {
  if (!session.destroyed) session.goaway(constants.NGHTTP2_ENHANCE_YOUR_CALM);
  const timer = setTimeout(reset, GOODBYE_MS);
  session.once("close", () => clearTimeout(timer));
  // Only then, as it is sent at the end of this turn.
  setImmediate(deafen);
}
