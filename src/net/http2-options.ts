import type { ServerOptions } from "node:http2";

/** Windows that let one upload use the whole link, and bounds that no honest client meets. */
export const HTTP2_OPTIONS: ServerOptions = {
  settings: {
    initialWindowSize: 8 * 1024 * 1024,
    maxFrameSize: 1024 * 1024,
    maxConcurrentStreams: 2_000,
    enablePush: false,
  },
  maxSessionInvalidFrames: 100,
  maxSessionRejectedStreams: 100,
  maxSettings: 32,
  maxOutstandingPings: 10,
  maxHeaderListPairs: 200,
  maxSessionMemory: 256,
};
/** What all uploads of one session may have on their way together. */
export const SESSION_WINDOW_BYTES = 16 * 1024 * 1024;
