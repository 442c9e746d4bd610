import type { ClientHttp2Session } from "node:http2";
import type { Transport } from "@connectrpc/connect";
import { createConnectTransport, Http2SessionManager } from "@connectrpc/connect-node";
import { identify, limitHeaders, retryOnce } from "./interceptors.ts";

/** How a guest is reached. */
export interface TransportOptions {
  /** Sent with every request. */
  headers: Readonly<Record<string, string>>;
  /** How long a unary call may take, in ms. */
  deadlineMs: number;
  /** How long the guest may take to begin an answer, in ms. */
  headersMs: number;
}

/** How often the peer of an open stream is asked whether it is there, and what it may take, in ms. */
const PING_INTERVAL_MS = 15_000;
const PING_TIMEOUT_MS = 10_000;
const SESSION_WINDOW_BYTES = 16 * 1024 * 1024;
const STREAM_WINDOW_BYTES = 8 * 1024 * 1024;

/** Two ways to one guest: calls that have a deadline, and streams that have none. */
export class Transports {
  /** For unary calls: with a deadline. */
  readonly unary: Transport;
  /** For streams: they last as long as what they tell of. */
  readonly streaming: Transport;
  readonly #sessions: readonly Http2SessionManager[];

  constructor(url: string, { headers, deadlineMs, headersMs }: TransportOptions) {
    const [forUnary, forStreams] = [openSession(url), openSession(url)];
    this.#sessions = [forUnary, forStreams];
    const interceptors = [identify(headers), limitHeaders(headersMs)];
    const common = { baseUrl: url, httpVersion: "2" as const, useBinaryFormat: true };
    this.unary = createConnectTransport({
      ...common,
      interceptors: [...interceptors, retryOnce],
      sessionManager: forUnary,
      defaultTimeoutMs: deadlineMs,
    });
    this.streaming = createConnectTransport({
      ...common,
      interceptors,
      sessionManager: forStreams,
    });
  }

  /** Closes connections on which nothing goes on. */
  closeIdle(): void {
    for (const session of this.#sessions) if (session.state() === "idle") session.abort();
  }

  /** Closes every connection; what goes on fails as lost. The next call opens a fresh one. */
  drop(): void {
    for (const session of this.#sessions) session.abort();
  }
}

function openSession(url: string): Http2SessionManager {
  const pings = {
    pingIntervalMs: PING_INTERVAL_MS,
    pingTimeoutMs: PING_TIMEOUT_MS,
    pingIdleConnection: false,
  };
  const settings = { initialWindowSize: STREAM_WINDOW_BYTES };
  const manager = new Http2SessionManager(url, pings, { settings });
  const known = new WeakSet<ClientHttp2Session>();
  const request = manager.request.bind(manager);
  manager.request = async (...args) => {
    const stream = await request(...args);
    const session = stream.session as ClientHttp2Session | undefined;
    if (session !== undefined && !known.has(session)) {
      known.add(session);
      // The manager takes its own listener off while the session can still fail.
      session.on("error", () => {});
      session.setLocalWindowSize(SESSION_WINDOW_BYTES);
    }
    return stream;
  };
  return manager;
}
