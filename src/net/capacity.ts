import type { IncomingMessage, ServerResponse } from "node:http";
import type { Socket } from "node:net";
import type { Logger } from "../log.ts";
import { descriptorOf, resetOnClose } from "../system/tcp.ts";
import type { Connection } from "./connection.ts";

/** Who is served, and who is not, in the reserve of connections. */
export interface Crowd {
  /** Which requests are answered all the same. */
  isControl(request: IncomingMessage): boolean;
  /** Answers one that is refused. Its connection closes after that. */
  refuse(request: IncomingMessage, response: ServerResponse): void;
}

/** How many connections there may be where nothing else is said. */
export const MAX_CONNECTIONS = 16_384;

/** Connections beyond the bound, for calls that must get through. */
const RESERVE = 32;
/** How many are looked at for one that can go. */
const MOST_LOOKS = 32;
const LOG_MS = 1_000;

/** What a bound is made with. */
export interface CapacityOptions {
  /** How many connections there may be, without a reserve of 32. */
  most: number;
  log: Logger;
}

/**
 * Keeps the number of connections within a bound, at a price that does not depend on it. Who comes
 * when all are taken comes in by the reserve, and what it asks for takes the place of the oldest
 * connection that has not shown what it speaks, or else of the one on which nothing has been asked for
 * longest. One that answers something is never closed: when all do, who is in the reserve is served
 * control calls only.
 */
export class Capacity {
  readonly #options: CapacityOptions;
  readonly #open = new Set<Connection>();
  /** Those that have not shown what they speak, oldest first. */
  readonly #mute = new Set<Connection>();
  /** Those on which nothing is being answered, longest first. */
  readonly #idle = new Set<Connection>();
  #loggedAt = Number.NEGATIVE_INFINITY;
  #refused = 0;

  constructor(options: CapacityOptions) {
    this.#options = options;
  }

  /** Whether `socket` may come, if need be in the place of another one. Else it is reset. */
  admits(socket: Socket): boolean {
    if (this.#open.size < this.#options.most + RESERVE || this.#dismissOne()) return true;
    this.#tell("connection refused: all are taken, and in use");
    const fd = descriptorOf(socket);
    if (fd !== undefined) resetOnClose(fd);
    socket.destroy();
    return false;
  }

  /** Counts `connection` until it closes. */
  add(connection: Connection): void {
    this.#open.add(connection);
    this.#mute.add(connection);
    connection.isReserved = this.#isOver;
    connection.onTurn = () => {
      if (!this.#open.has(connection)) return;
      this.#mute.delete(connection);
      this.#idle.delete(connection);
      if (connection.isIdle) this.#idle.add(connection);
    };
    connection.socket.once("close", () => this.#forget(connection));
  }

  /** Takes `connection`, on which something is asked, out of the reserve. Returns whether it could. */
  unreserve(connection: Connection): boolean {
    while (this.#isOver) {
      if (this.#dismissOne()) continue;
      this.#tell("request refused: all connections are taken, and in use");
      return false;
    }
    connection.isReserved = false;
    return true;
  }

  get #isOver(): boolean {
    return this.#open.size > this.#options.most;
  }

  #dismissOne(): boolean {
    const leaving = firstQuiet(this.#mute) ?? firstQuiet(this.#idle);
    if (leaving === undefined) return false;
    this.#forget(leaving);
    leaving.dismiss();
    return true;
  }

  #forget(connection: Connection): void {
    this.#open.delete(connection);
    this.#mute.delete(connection);
    this.#idle.delete(connection);
  }

  #tell(message: string): void {
    this.#refused += 1;
    const now = performance.now();
    if (now - this.#loggedAt < LOG_MS) return;
    this.#options.log.warn({ open: this.#open.size, refused: this.#refused }, message);
    this.#loggedAt = now;
    this.#refused = 0;
  }
}

/** The first that has not just sent something. Those that have come last from then on. */
function firstQuiet(connections: Set<Connection>): Connection | undefined {
  let looks = 0;
  for (const connection of connections) {
    if (!connection.hasUnread) return connection;
    looks += 1;
    if (looks === MOST_LOOKS) return undefined;
    connections.delete(connection);
    connections.add(connection);
  }
  return undefined;
}
