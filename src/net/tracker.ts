import type { Socket } from "node:net";

/** What a connection was found to speak. */
export type ConnectionProtocol = "sniffing" | "http1" | "h2";

/** One connection, from accept to close. */
export class Connection {
  /** Unique while the agent runs; grows with time. */
  readonly id: number;
  readonly remoteAddress: string;
  /** When it was accepted, in ms of the monotonic clock. */
  readonly since = performance.now();
  readonly socket: Socket;
  protocol: ConnectionProtocol = "sniffing";
  isEncrypted = false;
  /** Finish what is in flight, take nothing more, then close. Set by who speaks the protocol. */
  retire: () => void;
  #openRequests = 0;

  constructor(id: number, socket: Socket) {
    this.id = id;
    this.socket = socket;
    this.remoteAddress = `${socket.remoteAddress ?? "unknown"}:${socket.remotePort ?? 0}`;
    this.retire = () => this.destroy();
  }

  /** How many requests are being answered. */
  get openRequests(): number {
    return this.#openRequests;
  }

  /** Whether nothing is being answered. */
  get isIdle(): boolean {
    return this.#openRequests === 0;
  }

  /** A request has come. The returned function says that it has been answered. */
  begin(): () => void {
    this.#openRequests += 1;
    return () => {
      this.#openRequests -= 1;
    };
  }

  /** Closes now. */
  destroy(): void {
    this.socket.destroy();
  }
}

/** Every open connection of the agent's port. */
export class Tracker {
  readonly #connections = new Set<Connection>();
  #lastId = 0;
  #onEmpty: () => void = () => {};

  /** Follows `socket` until it closes. */
  add(socket: Socket): Connection {
    this.#lastId += 1;
    const connection = new Connection(this.#lastId, socket);
    this.#connections.add(connection);
    socket.once("close", () => {
      this.#connections.delete(connection);
      if (this.#connections.size === 0) this.#onEmpty();
    });
    return connection;
  }

  /** The open connections, oldest first. */
  list(): Connection[] {
    return [...this.#connections];
  }

  /** Lets every connection finish what is in flight; what is still open after `graceMs` is cut. */
  async close(graceMs: number): Promise<void> {
    for (const connection of this.list()) connection.retire();
    if (this.#connections.size === 0) return;
    const empty = new Promise<void>((resolve) => {
      this.#onEmpty = resolve;
    });
    const cut = setTimeout(() => {
      for (const connection of this.list()) connection.destroy();
    }, graceMs);
    await empty;
    clearTimeout(cut);
  }
}
