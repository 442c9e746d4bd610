import type { Socket } from "node:net";
import { nextTurn } from "../lib/turns.ts";
import {
  descriptorOf,
  disconnect,
  hasUnread,
  limitUnsent,
  probePeer,
  resetOnClose,
  setKeepAlive,
  type TcpInfo,
  tcpInfo,
} from "../system/tcp.ts";

/** What a connection was found to speak. */
export type ConnectionProtocol = "sniffing" | "http1" | "h2";

/** What a connection is, for whoever asks. */
export interface ConnectionStatus {
  id: number;
  protocol: ConnectionProtocol;
  isEncrypted: boolean;
  /** Address and port of the peer. */
  remoteAddress: string;
  /** Since it was accepted. */
  ageMs: number;
  /** Connections of a smaller epoch than the tracker's are of the life before a restore. */
  epoch: number;
  /** Requests that are being answered. */
  openRequests: number;
  bytesRead: number;
  bytesWritten: number;
  /** How long ago bytes last went either way. */
  sinceProgressMs: number;
  /** Closes once what is open has been answered. */
  isRetiring: boolean;
}

/** A peer without data in flight is asked whether it is there; one that is gone is so after 30 s. */
const KEEP_ALIVE = { idleS: 15, intervalS: 5, probes: 3 };
/** The same for a connection that may be left over from the life before a restore: 3 s. */
const KEEP_ALIVE_OF_OLD = { idleS: 1, intervalS: 1, probes: 2 };

/** What the kernel holds at most of what a peer has no room for, until `Peer` has seen it read. */
const UNSENT_BYTES = 64 * 1024;

/** How long a client is taken to be about to ask, in ms, when it has said nothing yet. */
const NEW_MS = 250;

/** One connection, from accept to close. */
export class Connection {
  /** Unique while the agent runs; grows with time. */
  readonly id: number;
  readonly remoteAddress: string;
  /** When it was accepted, in ms of the monotonic clock. */
  readonly since = performance.now();
  readonly socket: Socket;
  epoch: number;
  protocol: ConnectionProtocol = "sniffing";
  isEncrypted = false;
  isRetiring = false;
  /** Retires with the next request. */
  isLeaving = false;
  /** Finishes what is in flight, takes nothing more, then closes. Set by who speaks the protocol. */
  onRetire: () => void = () => this.#retireUnheard();
  /** There is no room for it: it is served control calls only. */
  isReserved = false;
  /** Called when it has shown what it speaks, and when it becomes busy, or idle. */
  onTurn: () => void = () => {};
  /** Told what the kernel knows of the peer, from time to time. Set by who speaks the protocol. */
  onLook: (info: TcpInfo) => void = () => {};
  /** Asks the peer by the protocol itself; absent where that knows no such question. */
  ping: ((onAnswer: () => void) => void) | undefined;
  #openRequests = 0;
  #hasAnswered = false;

  constructor(id: number, socket: Socket, epoch: number) {
    this.id = id;
    this.socket = socket;
    this.epoch = epoch;
    this.remoteAddress = `${socket.remoteAddress ?? "unknown"}:${socket.remotePort ?? 0}`;
    if (this.#fd === undefined) return;
    setKeepAlive(this.#fd, KEEP_ALIVE);
    limitUnsent(this.#fd, UNSENT_BYTES);
  }

  /** Whether nothing is being answered. */
  get isIdle(): boolean {
    return this.#openRequests === 0;
  }

  /** Whether a request of it has been answered to the end. */
  get hasAnswered(): boolean {
    return this.#hasAnswered;
  }

  /** A request has come. The returned function says that it has been answered. */
  begin(): () => void {
    this.#openRequests += 1;
    if (this.#openRequests === 1) this.onTurn();
    if (this.isLeaving) this.retire();
    return () => {
      this.#openRequests -= 1;
      this.#hasAnswered = true;
      if (this.#openRequests === 0) this.onTurn();
    };
  }

  /** It has shown what it speaks. */
  speaks(protocol: "http1" | "h2"): void {
    this.protocol = protocol;
    this.onTurn();
  }

  /** Finishes what is in flight, takes nothing more, then closes. */
  retire(): void {
    this.isRetiring = true;
    this.onRetire();
  }

  /** Its peer has shown that it lives in `epoch`. */
  renew(epoch: number): void {
    this.epoch = epoch;
    if (this.#fd !== undefined) setKeepAlive(this.#fd, KEEP_ALIVE);
  }

  /** Whether bytes of the client wait to be looked at. */
  get hasUnread(): boolean {
    return this.#fd !== undefined && hasUnread(this.#fd);
  }

  /** Closes an idle connection, in order as far as that needs no patience. */
  dismiss(): void {
    if (this.protocol === "sniffing") {
      this.reset();
      return;
    }
    this.retire();
    void nextTurn().then(() => this.destroy());
  }

  /** Closes now. */
  destroy(): void {
    this.socket.destroy();
  }

  /** Closes now by RST, whatever is still to be sent. */
  reset(): void {
    if (this.#fd !== undefined) resetOnClose(this.#fd);
    this.socket.destroy();
  }

  /** Reads nothing more: a session of HTTP/2 reads past the socket, from its handle. */
  deafen(): void {
    const { _handle: handle } = this.socket as Socket & { _handle?: { readStop?(): void } | null };
    handle?.readStop?.();
  }

  /**
   * Ends it in the kernel, by RST, and keeps that quiet here: all that hangs on it is torn down by
   * `reset`, which takes longer.
   */
  cut(): void {
    if (this.#fd === undefined) return;
    this.deafen();
    disconnect(this.#fd);
  }

  /** What the kernel knows of the peer. */
  tcpInfo(): TcpInfo | undefined {
    return this.#fd === undefined ? undefined : tcpInfo(this.#fd);
  }

  /**
   * Has the kernel ask the peer whether it is there. Returns `false` where it cannot, and then has
   * it ask in its own time.
   */
  probe(): boolean {
    const fd = this.#fd;
    if (fd === undefined) return false;
    // What is under way asks by itself.
    if (this.#isEnding) return true;
    if (!this.isHalfClosed && probePeer(fd)) return true;
    setKeepAlive(fd, KEEP_ALIVE_OF_OLD);
    return false;
  }

  /** Whether one side has said that nothing more comes from it: Linux probes no such connection. */
  get isHalfClosed(): boolean {
    const state = this.tcpInfo()?.state;
    return state === "CLOSE-WAIT" || state === "FIN-WAIT-2";
  }

  get #isEnding(): boolean {
    const state = this.tcpInfo()?.state;
    return state === "FIN-WAIT-1" || state === "CLOSING" || state === "LAST-ACK";
  }

  /** What it is now. */
  status(): ConnectionStatus {
    const info = this.tcpInfo();
    const ageMs = performance.now() - this.since;
    return {
      id: this.id,
      protocol: this.protocol,
      isEncrypted: this.isEncrypted,
      remoteAddress: this.remoteAddress,
      ageMs,
      epoch: this.epoch,
      openRequests: this.#openRequests,
      bytesRead: this.socket.bytesRead,
      bytesWritten: this.socket.bytesWritten,
      sinceProgressMs: info === undefined ? ageMs : sinceProgressMs(info),
      isRetiring: this.isRetiring,
    };
  }

  /** Before it is known what it speaks: a client that is about to ask is not turned away. */
  #retireUnheard(): void {
    const isNew = performance.now() - this.since < NEW_MS;
    if (isNew || this.hasUnread || this.socket.bytesRead > 0) this.isLeaving = true;
    else this.destroy();
  }

  get #fd(): number | undefined {
    return descriptorOf(this.socket);
  }
}

/** What is sent again to a peer that does not answer is no progress. */
function sinceProgressMs(info: TcpInfo): number {
  const sentMs =
    info.unacked > 0 ? Math.max(info.lastDataSentMs, info.lastAckReceivedMs) : info.lastDataSentMs;
  return Math.min(sentMs, info.lastDataReceivedMs);
}
