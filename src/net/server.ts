import http, { type IncomingMessage, type ServerResponse } from "node:http";
import http2, { type ServerHttp2Session } from "node:http2";
import type { Socket } from "node:net";
import tls from "node:tls";
import type { Logger } from "../log.ts";
import { randomBytes } from "../system/random.ts";
import { Capacity, type Crowd, MAX_CONNECTIONS } from "./capacity.ts";
import { onClientError, refuseExpectation } from "./client-error.ts";
import type { Connection } from "./connection.ts";
import { awaitProtocol } from "./first-bytes.ts";
import { Http1Exchanges } from "./http1-exchanges.ts";
import { HTTP2_OPTIONS, SESSION_WINDOW_BYTES } from "./http2-options.ts";
import { Peer } from "./peer.ts";
import { boundSession, pingSession } from "./session-bounds.ts";
import { guardSession } from "./session-guard.ts";
import type { Protocol } from "./sniff.ts";
import { Tracker } from "./tracker.ts";
import { VANISHED_LOOK_MS } from "./vanished.ts";

/** What the server is made with. */
export interface ServerOptions {
  host: string;
  port: number;
  /** Certificate and key in PEM; given, TLS is spoken on the same port. */
  tls?: { cert: string; key: string } | undefined;
  /** How long a connection may take to show what it speaks, in ms. Default 10,000. */
  sniffTimeoutMs?: number | undefined;
  /** How long a connection is kept on which nothing is asked, in ms. Default 640,000. */
  idleTimeoutMs?: number | undefined;
  /** How many connections there may be, without a reserve of 32. Default 16,384. */
  maxConnections?: number | undefined;
  log: Logger;
  /** Answers a request. HTTP/2 requests come through Node's compatibility layer. */
  onRequest: (request: IncomingMessage, response: ServerResponse) => void;
  /** What is done when all connections are taken. Without it, whoever gets in is served. */
  crowd?: Crowd | undefined;
}

const SNIFF_TIMEOUT_MS = 10_000;
/** Header blocks must arrive within this; bodies may take as long as they need. */
const HEADERS_TIMEOUT_MS = 10_000;
/** Idle connections stay longer than the proxy in front keeps them (620 s). */
const IDLE_TIMEOUT_MS = 640_000;
/** How often unfinished header blocks are looked for, while there are connections. */
const CHECK_MS = 1_000;
const NEVER_MS = 2 ** 31 - 1;
/** As `tls.Server` takes them. */
const TICKET_KEYS_BYTES = 48;

/**
 * One port that speaks HTTP/1.1, HTTP/2 with prior knowledge, and both over TLS. The HTTP/1
 * server owns the port, as its time-outs work for its own connections only; every connection is
 * looked at first and handed to whom it speaks to.
 */
export class Server {
  readonly tracker = new Tracker();
  /** Called when the first connection opens, and with `false` when the last has closed. */
  onOccupied: (isOccupied: boolean) => void = () => {};
  readonly #options: ServerOptions;
  readonly #capacity: Capacity;
  readonly #http1: http.Server;
  readonly #http2: http2.Http2Server;
  readonly #tls: tls.Server | undefined;
  readonly #acceptHttp1: (socket: Socket) => void;
  readonly #connections = new WeakMap<object, Connection>();
  readonly #exchanges = new WeakMap<object, Http1Exchanges>();
  /** Connections that speak TLS, by their peer: the encrypted socket does not name its carrier. */
  readonly #handshakes = new Map<string, Connection>();
  #http1Count = 0;
  #port = 0;
  /** The connection whose session is being made: the session event does not name its socket. */
  #opening: Connection | undefined;

  constructor(options: ServerOptions) {
    this.#options = options;
    const { maxConnections: most = MAX_CONNECTIONS, log } = options;
    this.#capacity = new Capacity({ most, log });
    this.#http1 = http.createServer({
      requestTimeout: 0,
      headersTimeout: HEADERS_TIMEOUT_MS,
      keepAliveTimeout: options.idleTimeoutMs ?? IDLE_TIMEOUT_MS,
      connectionsCheckingInterval: NEVER_MS,
      noDelay: true,
    });
    this.tracker.onOccupied = (isOccupied) => this.onOccupied(isOccupied);
    this.#acceptHttp1 = this.#http1.listeners("connection")[0] as (socket: Socket) => void;
    this.#http1.removeAllListeners("connection");
    this.#http1.on("connection", (socket: Socket) => this.#accept(socket));
    this.#http1.on("request", (request, response) => {
      if (this.#exchanges.get(request.socket)?.add(response) === false) {
        request.socket.destroy();
        return;
      }
      this.#answer(this.#connections.get(request.socket), request, response);
    });
    this.#http1.on("clientError", onClientError);
    this.#http1.on("checkExpectation", refuseExpectation);
    this.#http2 = http2.createServer(HTTP2_OPTIONS);
    this.#http2.on("session", (session) => this.#onSession(session));
    this.#http2.on("request", (request, response) => {
      const { session } = request.stream;
      this.#answer(
        session === undefined ? undefined : this.#connections.get(session),
        request as unknown as IncomingMessage,
        response as unknown as ServerResponse,
      );
    });
    if (options.tls !== undefined) this.#tls = this.#createTls(options.tls);
  }

  /** Begins to accept. Rejects when the address cannot be bound. Resolves with the bound port. */
  listen(): Promise<number> {
    return new Promise((resolve, reject) => {
      this.#http1.once("error", reject);
      this.#http1.listen(this.#options.port, this.#options.host, () => {
        this.#http1.off("error", reject);
        const address = this.#http1.address();
        this.#port = typeof address === "object" && address !== null ? address.port : 0;
        resolve(this.#port);
      });
    });
  }

  /** The bound port; 0 until it listens. */
  get port(): number {
    return this.#port;
  }

  /** What wakes the agent, in words. Empty while nothing does. */
  get awake(): string[] {
    const count = this.tracker.list().length;
    if (count === 0) return [];
    const everyMs = this.#http1Count > 0 ? CHECK_MS : VANISHED_LOOK_MS;
    return [`connections: ${count} are open, a look every ${everyMs} ms`];
  }

  /** Encrypts TLS session tickets with new keys: the old ones are the same in every clone. */
  renewTicketKeys(): void {
    this.#tls?.setTicketKeys(randomBytes(TICKET_KEYS_BYTES));
  }

  /** Stops accepting, lets open requests finish, and cuts what is left after `graceMs`. */
  async close(graceMs: number): Promise<void> {
    const closed = new Promise<void>((resolve) => this.#http1.close(() => resolve()));
    await this.tracker.close(graceMs);
    await closed;
  }

  /** Unfinished header blocks are looked for while there are connections that may have one. */
  #countHttp1(socket: Socket): void {
    this.#http1Count += 1;
    if (this.#http1Count === 1) this.#checkEvery(CHECK_MS);
    socket.once("close", () => {
      this.#http1Count -= 1;
      if (this.#http1Count === 0) this.#checkEvery(NEVER_MS);
    });
  }

  /**
   * Node looks for them for ever, connections or not, and takes a new interval only when it begins
   * to listen. A server that has closed stopped to look, and would begin again.
   */
  #checkEvery(ms: number): void {
    if (!this.#http1.listening) return;
    Object.assign(this.#http1, { connectionsCheckingInterval: ms });
    this.#http1.emit("listening");
  }

  #createTls({ cert, key }: { cert: string; key: string }): tls.Server {
    const server = tls.createServer({
      cert,
      key,
      ALPNProtocols: ["h2", "http/1.1"],
      handshakeTimeout: HEADERS_TIMEOUT_MS,
    });
    server.on("secureConnection", (socket) => {
      const connection = this.#handshakes.get(peerOf(socket));
      if (connection === undefined) {
        socket.destroy();
        return;
      }
      connection.isEncrypted = true;
      socket.on("error", () => {});
      this.#hand(connection, socket, socket.alpnProtocol === "h2" ? "h2" : "http1");
    });
    server.on("tlsClientError", (reason, socket) => {
      this.#options.log.debug({ err: reason }, "TLS handshake failed");
      socket.destroy();
    });
    return server;
  }

  #accept(socket: Socket): void {
    socket.on("error", () => {});
    if (!this.#capacity.admits(socket)) return;
    const connection = this.tracker.add(socket);
    this.#capacity.add(connection);
    const refuse = (why: string) => this.#refuse(connection, why);
    awaitProtocol(socket, {
      timeoutMs: this.#sniffTimeoutMs,
      onProtocol: (protocol) => {
        if (protocol === "unknown") refuse("it speaks neither HTTP nor TLS");
        else if (protocol === "tls" && this.#tls === undefined) refuse("TLS needs a certificate");
        else this.#hand(connection, socket, protocol);
      },
      onSilence: () => refuse("it did not show what it speaks"),
    });
  }

  get #sniffTimeoutMs(): number {
    return this.#options.sniffTimeoutMs ?? SNIFF_TIMEOUT_MS;
  }

  #refuse(connection: Connection, why: string): void {
    this.#log(connection, `connection refused: ${why}`);
    connection.destroy();
  }

  #log(connection: Connection, message: string): void {
    this.#options.log.info({ remote: connection.remoteAddress }, message);
  }

  #hand(connection: Connection, socket: Socket, protocol: Protocol): void {
    this.#connections.set(socket, connection);
    if (protocol === "tls") {
      const peer = peerOf(socket);
      this.#handshakes.set(peer, connection);
      socket.once("close", () => this.#handshakes.delete(peer));
      this.#tls?.emit("connection", socket);
      return;
    }
    connection.speaks(protocol === "h2" ? "h2" : "http1");
    if (protocol === "h2") {
      socket.allowHalfOpen = false;
      this.#opening = connection;
      this.#http2.emit("connection", socket);
      this.#opening = undefined;
      return;
    }
    Peer.ofSocket(socket).onReset = () => connection.reset();
    const exchanges = new Http1Exchanges(socket, () => connection.hasUnread);
    this.#exchanges.set(socket, exchanges);
    connection.onRetire = () => exchanges.retire();
    this.#countHttp1(socket);
    this.#acceptHttp1.call(this.#http1, socket);
  }

  #onSession(session: ServerHttp2Session): void {
    session.on("error", (reason) => this.#options.log.debug({ err: reason }, "session failed"));
    session.on("stream", (stream) => stream.on("error", () => {}));
    session.setLocalWindowSize(SESSION_WINDOW_BYTES);
    const connection = this.#opening;
    if (connection === undefined) return;
    this.#connections.set(session, connection);
    Peer.ofSession(session).onReset = () => connection.reset();
    connection.onRetire = () => session.close();
    connection.ping = (onAnswer) => pingSession(session, onAnswer);
    connection.onLook = guardSession({
      session,
      deafen: () => connection.deafen(),
      reset: () => connection.reset(),
      onOffence: (what) => this.#log(connection, `connection cut: ${what}`),
    });
    boundSession(session, {
      prefaceMs: this.#sniffTimeoutMs,
      idleMs: this.#options.idleTimeoutMs ?? IDLE_TIMEOUT_MS,
      isIdle: () => connection.isIdle,
      onSilence: () => this.#refuse(connection, "it did not finish the preface of HTTP/2"),
    });
  }

  #answer(
    connection: Connection | undefined,
    request: IncomingMessage,
    response: ServerResponse,
  ): void {
    const done = connection?.begin();
    request.on("error", () => {});
    response.on("error", () => {});
    if (done !== undefined) response.once("close", done);
    const { onRequest, crowd } = this.#options;
    const isReserved = connection?.isReserved === true && crowd?.isControl(request) === false;
    if (!isReserved || this.#capacity.unreserve(connection)) onRequest(request, response);
    else {
      connection.retire();
      crowd?.refuse(request, response);
    }
  }
}

function peerOf(socket: Socket): string {
  return `${socket.remoteAddress} ${socket.remotePort}`;
}
