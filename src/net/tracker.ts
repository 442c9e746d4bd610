import type { Socket } from "node:net";
import { sleep } from "../lib/sleep.ts";
import { nextTurn } from "../lib/turns.ts";
import { Connection, type ConnectionStatus } from "./connection.ts";
import { VanishedWatch } from "./vanished.ts";

/**
 * What came from a peer just before a probe would look like its answer. So probes wait for so
 * long, and who was heard in the later half of that lives: the kernel's clock ticks every 4 or 10 ms.
 */
const QUIET_MS = 20;
const HEARD_MS = QUIET_MS / 2;
/** How often it is looked whether probes have been answered. */
const LOOK_MS = 20;
/**
 * Who has not answered by then, in ms, is asked once more: for half a second after one such answer,
 * to keep-alive as well, Linux gives no other (`tcp_invalid_ratelimit`).
 */
const AGAIN_MS = 520;

/** In this time, in ms, the kernel has found out about a peer that was left to it. */
const KERNEL_MS = 5_000;

/** Every open connection of the agent's port. */
export class Tracker {
  /** Called before a connection is tracked; an epoch that begins in it is the connection's. */
  onAccept: () => void = () => {};
  /** Called when the first connection opens, and with `false` when the last has closed. */
  onOccupied: (isOccupied: boolean) => void = () => {};
  readonly #connections = new Set<Connection>();
  readonly #vanished = new VanishedWatch(this.#connections);
  #epoch = 1;
  #lastId = 0;
  #isQuiescing = false;
  #onEmpty: () => void = () => {};

  /** Connections of a smaller epoch are of the life before a restore. */
  get epoch(): number {
    return this.#epoch;
  }

  /** Follows `socket` until it closes. */
  add(socket: Socket): Connection {
    this.onAccept();
    this.#lastId += 1;
    const connection = new Connection(this.#lastId, socket, this.#epoch);
    connection.isLeaving = this.#isQuiescing;
    this.#connections.add(connection);
    if (this.#connections.size === 1) this.#occupied(true);
    socket.once("close", () => {
      this.#connections.delete(connection);
      if (this.#connections.size > 0) return;
      this.#occupied(false);
      this.#onEmpty();
    });
    return connection;
  }

  /** The open connections, oldest first. */
  list(): Connection[] {
    return [...this.#connections];
  }

  /** What each connection is now, oldest first. Those that are just being cut are left out. */
  status(): ConnectionStatus[] {
    return this.list().flatMap((connection) =>
      connection.socket.destroyed ? [] : [connection.status()],
    );
  }

  /**
   * Closes every idle connection and has every other one close after its answer; those that come
   * until `wake` take one request. Returns how many were idle.
   */
  quiesce(): { closedHttp1: number; closedH2: number } {
    this.#isQuiescing = true;
    const closed = { closedHttp1: 0, closedH2: 0 };
    for (const connection of this.#connections) {
      if (connection.isIdle && !connection.isRetiring) {
        if (connection.protocol === "http1") closed.closedHttp1 += 1;
        if (connection.protocol === "h2") closed.closedH2 += 1;
      }
      connection.retire();
    }
    return closed;
  }

  /** Keeps connections open again. Those that are retiring already go on to. */
  wake(): void {
    this.#isQuiescing = false;
    for (const connection of this.#connections) connection.isLeaving = false;
  }

  /** Makes every connection that is open now an old one. Returns the new epoch. */
  beginEpoch(): number {
    this.#epoch += 1;
    return this.#epoch;
  }

  /** Destroys the old connections by RST. Returns how many. */
  destroyOld(): number {
    const old = this.#old();
    for (const connection of old) connection.reset();
    return old.length;
  }

  /**
   * Does the same bit by bit. To the kernel and the peers the old connections are gone at once. What
   * hangs on each is torn down one in a turn, as it takes longer than an answer, and not before
   * somebody who came anew has been answered, `patienceMs` are over, or `hurry` aborts. Resolves with
   * how many.
   */
  async clearOld(patienceMs: number, hurry: AbortSignal): Promise<number> {
    const old = this.#old();
    for (const connection of old) connection.cut();
    const end = performance.now() + patienceMs;
    while (old.length > 0 && !this.#hasServedAnew() && performance.now() < end) {
      if (!(await sleep(LOOK_MS, hurry))) break;
    }
    for (const connection of old) {
      connection.reset();
      await nextTurn();
    }
    return old.length;
  }

  /**
   * Asks the peers of old connections whether they are there. Who answers within `timeoutMs` is of
   * the present epoch from then on; the others are destroyed by RST, at once when `signal` aborts.
   * Where the kernel may not be asked, HTTP/2 peers are asked by PING, and HTTP/1 connections are
   * left to the kernel, which gives a silent peer 3 s. So are those that are closed in one direction.
   */
  async probeOld(
    timeoutMs: number,
    signal?: AbortSignal,
  ): Promise<{ destroyed: number; kept: number }> {
    const old = this.#old();
    if (old.length === 0) return { destroyed: 0, kept: 0 };
    const isQuiet = await sleep(QUIET_MS, signal);
    const kept = new Set<Connection>();
    const keep = (connection: Connection) => {
      kept.add(connection);
      connection.renew(this.#epoch);
    };
    const leave = (connection: Connection) => {
      kept.add(connection);
      this.#leaveToKernel(connection);
    };
    const probedAt = performance.now();
    for (const connection of old) if (isQuiet && silentMs(connection) < HEARD_MS) keep(connection);
    const asked = this.#old().filter((connection) => ask(connection, keep, leave));
    const unheard = () => asked.filter((connection) => this.#isOld(connection));
    let isAskedAgain = false;
    for (let silent = asked; silent.length > 0; silent = unheard()) {
      const sinceMs = performance.now() - probedAt;
      if (sinceMs > timeoutMs || !(await sleep(LOOK_MS, signal))) break;
      for (const connection of unheard()) if (hasAnswered(connection, probedAt)) keep(connection);
      if (isAskedAgain || sinceMs < AGAIN_MS) continue;
      for (const connection of unheard()) connection.probe();
      isAskedAgain = true;
    }
    const silent = unheard();
    for (const connection of silent) connection.reset();
    return { destroyed: silent.length, kept: kept.size };
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

  #old(): Connection[] {
    return this.list().filter((connection) => this.#isOld(connection));
  }

  #hasServedAnew(): boolean {
    return this.list().some(({ epoch, hasAnswered }) => epoch === this.#epoch && hasAnswered);
  }

  #isOld(connection: Connection): boolean {
    return connection.epoch < this.#epoch && !connection.socket.destroyed;
  }

  /** It is an old one until then, and goes when it becomes certain that the old ones lead nowhere. */
  #leaveToKernel(connection: Connection): void {
    const epoch = this.#epoch;
    setTimeout(() => {
      if (this.#isOld(connection) && epoch === this.#epoch) connection.renew(epoch);
    }, KERNEL_MS).unref();
  }

  #occupied(isOccupied: boolean): void {
    this.#vanished.run(isOccupied);
    this.onOccupied(isOccupied);
  }
}

/** Asks the peer whether it is there. Returns whether silence is to count as a no. */
function ask(
  connection: Connection,
  keep: (connection: Connection) => void,
  leave: (connection: Connection) => void,
): boolean {
  if (connection.probe()) return true;
  if (connection.ping !== undefined && !connection.isHalfClosed) {
    connection.ping(() => keep(connection));
    return true;
  }
  leave(connection);
  return false;
}

function hasAnswered(connection: Connection, probedAt: number): boolean {
  return silentMs(connection) < performance.now() - probedAt;
}

/** How long ago the peer was last heard of. */
function silentMs(connection: Connection): number {
  const info = connection.tcpInfo();
  if (info === undefined) return Number.POSITIVE_INFINITY;
  return Math.min(info.lastAckReceivedMs, info.lastDataReceivedMs);
}
