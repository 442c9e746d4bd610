import type { ClientHttp2Session } from "node:http2";
import type { Transport } from "@connectrpc/connect";
import {
  type ConnectTransportOptions,
  createConnectTransport,
  Http2SessionManager,
} from "@connectrpc/connect-node";
import { closeIdleSockets, openAgent } from "./http1-agent.ts";
import { askGeneration, doubtWhenLate, identify, limitHeaders, retryOnce } from "./interceptors.ts";

/** How a guest is reached. */
export interface TransportOptions {
  /** Sent with every request. */
  headers: Readonly<Record<string, string>>;
  /** How long a unary call may take, in ms. */
  deadlineMs: number;
  /** How long the guest may take to begin an answer, in ms. */
  headersMs: number;
  httpVersion: "1.1" | "2";
  /** Told when the guest was restored: what was connected before is dead. */
  onRestored?: () => void;
}

/** The connections of one transport. */
interface Connections {
  /** Closes those on which nothing goes on. */
  closeIdle(): void;
  /** Closes all. */
  drop(): void;
  /** Closes those whose peer does not answer at once. */
  doubt(): void;
  /** Closes what leads to a life before this one. `isAnswering`: one has just brought an answer. */
  leaveOld(isAnswering: boolean): void;
}

/** How often the peer of an open stream is asked whether it is there, and what it may take, in ms. */
const PING_INTERVAL_MS = 15_000;
const PING_TIMEOUT_MS = 10_000;
/** The same for one that is in doubt, in ms. */
const DOUBT_MS = 2_000;
const SESSION_WINDOW_BYTES = 16 * 1024 * 1024;
const STREAM_WINDOW_BYTES = 8 * 1024 * 1024;

/** Two ways to one guest: calls that have a deadline, and streams that have none. */
export class Transports {
  /** For unary calls: with a deadline. */
  readonly unary: Transport;
  /** For streams: they last as long as what they tell of. */
  readonly streaming: Transport;
  readonly #connections: readonly Connections[];
  readonly #onRestored: () => void;
  #generation: string | undefined;

  constructor(url: string, options: TransportOptions) {
    const doubt = doubtWhenLate(() => {
      for (const connections of this.#connections) connections.doubt();
    });
    const interceptors = [identify(options.headers), limitHeaders(options.headersMs), doubt];
    const open = options.httpVersion === "2" ? overHttp2 : overHttp1;
    const unary = open(url, {
      interceptors: [askGeneration((id) => this.#follow(id, unary)), ...interceptors, retryOnce],
      defaultTimeoutMs: options.deadlineMs,
    });
    const streaming = open(url, {
      interceptors: [askGeneration((id) => this.#follow(id, streaming)), ...interceptors],
    });
    this.unary = unary.transport;
    this.streaming = streaming.transport;
    this.#connections = [unary, streaming];
    this.#onRestored = options.onRestored ?? (() => {});
  }

  /** Closes connections on which nothing goes on. */
  closeIdle(): void {
    for (const connections of this.#connections) connections.closeIdle();
  }

  /** `answering` has brought word of a life: what was connected in another one leads nowhere. */
  #follow(generation: string, answering: Connections): void {
    const before = this.#generation;
    this.#generation = generation;
    if (before === undefined || before === generation) return;
    for (const connections of this.#connections) {
      connections.leaveOld(connections === answering);
    }
    this.#onRestored();
  }

  /** Closes every connection; what goes on fails as lost. The next call opens a fresh one. */
  drop(): void {
    for (const connections of this.#connections) connections.drop();
  }
}

type CallOptions = Pick<ConnectTransportOptions, "interceptors" | "defaultTimeoutMs">;

function overHttp2(url: string, options: CallOptions): Connections & { transport: Transport } {
  const { manager: sessionManager, sessions } = openSession(url);
  const http = { baseUrl: url, httpVersion: "2" as const, sessionManager };
  return {
    transport: createConnectTransport({ ...http, ...options }),
    closeIdle: () => {
      if (sessionManager.state() === "idle") sessionManager.abort();
    },
    drop: () => sessionManager.abort(),
    doubt: () => {
      for (const session of sessions) verify(session);
    },
    // One that answers belongs to the life that goes on: it may have been opened a moment ago.
    leaveOld: () => {
      for (const session of sessions) verify(session);
    },
  };
}

function overHttp1(url: string, options: CallOptions): Connections & { transport: Transport } {
  const agent = openAgent(url);
  const http = { baseUrl: url, httpVersion: "1.1" as const, nodeOptions: { agent } };
  return {
    transport: createConnectTransport({ ...http, ...options }),
    closeIdle: () => closeIdleSockets(agent),
    drop: () => agent.destroy(),
    // A call has its connection for itself, and closes it when it is given up.
    doubt: () => closeIdleSockets(agent),
    leaveOld: (isAnswering) => (isAnswering ? closeIdleSockets(agent) : agent.destroy()),
  };
}

function openSession(url: string): {
  manager: Http2SessionManager;
  sessions: ReadonlySet<ClientHttp2Session>;
} {
  const pings = {
    pingIntervalMs: PING_INTERVAL_MS,
    pingTimeoutMs: PING_TIMEOUT_MS,
    pingIdleConnection: false,
  };
  const settings = { initialWindowSize: STREAM_WINDOW_BYTES };
  const manager = new Http2SessionManager(url, pings, { settings });
  const sessions = new Set<ClientHttp2Session>();
  const request = manager.request.bind(manager);
  manager.request = async (...args) => {
    const stream = await request(...args);
    const session = stream.session as ClientHttp2Session | undefined;
    if (session !== undefined && !session.destroyed && !sessions.has(session)) {
      sessions.add(session);
      session.once("close", () => sessions.delete(session));
      // The manager takes its own listener off while the session can still fail.
      session.on("error", () => {});
      session.setLocalWindowSize(SESSION_WINDOW_BYTES);
    }
    return stream;
  };
  return { manager, sessions };
}

/** Asks the peer whether it is there, and destroys a session that does not answer. */
function verify(session: ClientHttp2Session): void {
  if (session.destroyed) return;
  const late = () => session.destroy(new Error(`the guest did not answer within ${DOUBT_MS} ms`));
  const timer = setTimeout(late, DOUBT_MS);
  const answered = () => clearTimeout(timer);
  session.once("close", answered);
  // Without a word where the session ends first; a ping that cannot be sent is no answer.
  session.ping(() => {
    answered();
    session.off("close", answered);
  });
}
