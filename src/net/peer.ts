import type { Http2Session } from "node:http2";
import type { Socket } from "node:net";
import type { TLSSocket } from "node:tls";
import { limitUnsent, type TcpInfo, tcpInfo, unacknowledgedBytes } from "../system/tcp.ts";
import { OwedAnswer } from "./owed-answer.ts";

interface Handle {
  fd?: number;
  bytesWritten?: number;
  writeQueueSize?: number;
}

/** A window that begins with this much, or more, may grow by far more between two looks. */
const GROWING_BYTES = 14_000;

/** A program can read nothing of a record of TLS before its system has taken all of it. */
const TLS_RECORD_BYTES = 16 * 1024;

/** For how long what the kernel said is good enough, in ms: thousands of streams may ask at once. */
const FRESH_MS = 5;

/** Who has taken this much reads, as no receive buffer is so large from the start. */
const READING_BYTES = 1024 * 1024;
/** What the kernel may hold for a peer that reads, so that it lacks nothing while others are served. */
const UNSENT_BYTES = 1024 * 1024;

/** What the connection is closed by. */
interface Carrier {
  readonly destroyed: boolean;
  destroy(): void;
}

/** What is known of the peer of one connection. */
export class Peer {
  readonly #socket: Socket;
  readonly #carrier: Carrier;
  readonly #owed = new OwedAnswer();
  #largestWindowBytes = 0;
  #takenBytes = 0;
  #lookedAt = Number.NEGATIVE_INFINITY;
  #movedAt = performance.now();
  #isReading = false;

  private constructor(socket: Socket, carrier: Carrier) {
    this.#socket = socket;
    this.#carrier = carrier;
    this.windowBytes(Number.POSITIVE_INFINITY);
  }

  /** The peer of an HTTP/1 connection by its socket, or that of its TLS; always the same. */
  static ofSocket(socket: Socket): Peer {
    return Peer.#of(socket, () => new Peer(socket, socket));
  }

  /** The peer of an HTTP/2 session; always the same. */
  static ofSession(session: Http2Session): Peer {
    return Peer.#of(session, () => new Peer(session.socket, session));
  }

  static #of(key: object, make: () => Peer): Peer {
    const found = peers.get(key) ?? make();
    peers.set(key, found);
    return found;
  }

  /** How the connection is closed by RST at once: a session waits for what is still to be sent. */
  onReset: () => void = () => this.#carrier.destroy();

  /** Bytes its system has acknowledged: what was written less what is held on this side. */
  get takenBytes(): number {
    const now = performance.now();
    if (this.#carrier.destroyed || now - this.#lookedAt < FRESH_MS) return this.#takenBytes;
    this.#lookedAt = now;
    const { bytesWritten = 0, writeQueueSize = 0 } = this.#handle;
    const taken = bytesWritten - writeQueueSize - this.#unacknowledgedBytes;
    // Where nothing waits, nothing stands still.
    if (taken !== this.#takenBytes || this.waitingBytes === 0) this.#movedAt = now;
    this.#takenBytes = taken;
    if (!this.#isReading && taken >= READING_BYTES) this.#trust();
    return taken;
  }

  /** Bytes that have come from it, those that nobody has looked at included. */
  get receivedBytes(): number {
    return this.#info?.receivedBytes ?? 0;
  }

  /**
   * How much of what it sends may be on its way unseen: a record of TLS that is not whole. 0 when
   * nothing has come for `stallMs`.
   */
  unseenBytes(stallMs: number): number {
    const isComing = (this.#info?.lastDataReceivedMs ?? Number.POSITIVE_INFINITY) < stallMs;
    return this.#isEncrypted && isComing ? TLS_RECORD_BYTES : 0;
  }

  /** How many bytes it has not acknowledged. */
  get waitingBytes(): number {
    if (this.#carrier.destroyed) return 0;
    const { writeQueueSize = 0 } = this.#handle;
    return this.#socket.writableLength + writeQueueSize + this.#unacknowledgedBytes;
  }

  /** How long ago it was seen to take something, in ms. */
  get sinceTakenMs(): number {
    return performance.now() - this.#movedAt;
  }

  /**
   * How much its system takes before its program has to read: the largest receive window that was
   * seen, or all it has ever taken where that is more and may have fit; over TLS a record as well.
   * 0 while the system itself is silent, as then nobody is there who reads.
   */
  windowBytes(stallMs: number): number {
    const info = this.#info;
    if (info === undefined) return 0;
    this.#largestWindowBytes = Math.max(this.#largestWindowBytes, info.sendWindowBytes);
    if (this.#owed.owedMs(info, performance.now()) >= stallMs) return 0;
    const seen = this.#largestWindowBytes;
    const bytes = seen < GROWING_BYTES ? seen : Math.max(seen, this.#takenBytes);
    return this.#isEncrypted ? bytes + TLS_RECORD_BYTES : bytes;
  }

  /** Closes the connection by RST: what it has not taken is forgotten, in the kernel as well. */
  reset(): void {
    if (!this.#carrier.destroyed) this.onReset();
  }

  #trust(): void {
    const { fd = -1 } = this.#handle;
    this.#isReading = true;
    if (fd >= 0) limitUnsent(fd, UNSENT_BYTES);
  }

  get #info(): TcpInfo | undefined {
    const { fd = -1 } = this.#handle;
    return fd < 0 ? undefined : tcpInfo(fd);
  }

  get #unacknowledgedBytes(): number {
    const { fd = -1 } = this.#handle;
    return fd < 0 ? 0 : unacknowledgedBytes(fd);
  }

  get #isEncrypted(): boolean {
    return (this.#socket as Partial<TLSSocket>).encrypted === true;
  }

  /** Node offers the queue sizes on the socket's handle only. */
  get #handle(): Handle {
    if (this.#carrier.destroyed) return {};
    return (this.#socket as Socket & { _handle?: Handle | null })._handle ?? {};
  }
}

const peers = new WeakMap<object, Peer>();
