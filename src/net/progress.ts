import type { ServerResponse } from "node:http";
import type { Http2ServerResponse, ServerHttp2Stream } from "node:http2";
import type { Socket } from "node:net";
import { libcFunction } from "../system/libc.ts";

/** Asks the kernel how many sent bytes the peer has not acknowledged. */
const SIOCOUTQ = 0x5411;
/** What a connection moves without moving any stream: acknowledgements of PING and SETTINGS. */
const CHATTER_BYTES = 256;

/** How often a peer is looked at in a stall time. It is cut off at most two looks too late: 5 %. */
const CHECKS = 40;

/** What the stall watch looks at. */
export interface Watched {
  /** Whether something waits for the peer. */
  isWaiting(): boolean;
  /** A number that changes whenever the peer has taken something. */
  taken(): number;
  /** Called once, when the peer has taken nothing for the stall time. */
  onStall(): void;
}

interface Entry {
  watched: Watched;
  taken: number;
  /** When the peer last took something, or began to have something to take. */
  since: number;
}

/**
 * Finds peers that have stopped to take what is sent to them. Whatever is written in between,
 * only bytes that the peer has really taken count as progress. Costs nothing while nobody is
 * waited for: there is no timer then.
 */
export class StallWatch {
  readonly #stallMs: number;
  readonly #now: () => number;
  readonly #active = new Map<Watched, Entry>();
  #lookedAt = 0;
  #timer: NodeJS.Timeout | undefined;

  /** `stallMs`: how long a peer may take nothing; `now`: a monotonic clock in ms. */
  constructor(stallMs: number, now: () => number = () => performance.now()) {
    this.#stallMs = stallMs;
    this.#now = now;
  }

  /** What wakes the agent, in words; `undefined` while nothing does. */
  get awake(): string | undefined {
    if (this.#timer === undefined) return undefined;
    return `streams: ${this.#active.size} peers have something to take`;
  }

  /** Looks at `watched` until nothing waits for its peer. Call it after every write. */
  note(watched: Watched): void {
    if (this.#active.has(watched)) return;
    if (this.#active.size === 0) this.#lookedAt = this.#now();
    this.#active.set(watched, { watched, taken: watched.taken(), since: this.#now() });
    this.#timer ??= setInterval(() => this.check(), Math.ceil(this.#stallMs / CHECKS)).unref();
  }

  /** Stops to look at `watched`. */
  forget(watched: Watched): void {
    this.#active.delete(watched);
    if (this.#active.size === 0) this.#rest();
  }

  /** Looks once. The watch does it by itself, many times in a stall time. */
  check(): void {
    const now = this.#now();
    const gapMs = now - this.#lookedAt;
    this.#lookedAt = now;
    // Over a machine that stood still time passed in which no peer could take anything.
    const skippedMs = gapMs > this.#stallMs / 2 ? gapMs : 0;
    for (const entry of this.#active.values()) {
      const { watched } = entry;
      entry.since = Math.min(now, entry.since + skippedMs);
      const taken = watched.taken();
      if (!watched.isWaiting()) {
        this.#active.delete(watched);
      } else if (taken !== entry.taken) {
        entry.taken = taken;
        entry.since = now;
      } else if (now - entry.since >= this.#stallMs) {
        this.#active.delete(watched);
        watched.onStall();
      }
    }
    if (this.#active.size === 0) this.#rest();
  }

  #rest(): void {
    clearInterval(this.#timer);
    this.#timer = undefined;
  }
}

/** What is sent to a peer, as the stall watch sees it. */
export interface Sending {
  response: ServerResponse;
  /** How many bytes have been written to the response so far. */
  writtenBytes(): number;
  /** Decides what happens to a peer that has stopped. */
  onStall(): void;
}

/** A response as the stall watch sees it. */
export function watchResponse(sending: Sending): Watched {
  const { response, onStall } = sending;
  const stream = (response as unknown as Http2ServerResponse).stream as
    | ServerHttp2Stream
    | undefined;
  if (stream !== undefined) return watchStream(stream, sending);
  // A response has no connection before its turn has come, a request that was given up has none.
  const socket: Socket | null = response.socket ?? response.req.socket;
  return {
    isWaiting: () => socket !== null && isWaiting(socket),
    taken: () => (socket === null ? 0 : takenBytes(socket)),
    onStall,
  };
}

/**
 * An HTTP/2 stream: what its own queue got rid of counts. What the connection moved counts as
 * well while no sibling has a claim to it, as a slow peer takes less than a whole write at once.
 */
function watchStream(stream: ServerHttp2Stream, { writtenBytes, onStall }: Sending): Watched {
  const connection = connectionOf(stream);
  let credit = 0;
  let seen = connection?.taken() ?? 0;
  const isWaiting = () => !stream.destroyed && stream.writableLength > 0;
  const claim = { isWaiting };
  connection?.claims.add(claim);
  stream.once("close", () => connection?.claims.delete(claim));
  return {
    isWaiting,
    taken: () => {
      const moved = connection?.taken() ?? 0;
      const isAlone = [...(connection?.claims ?? [])].filter((one) => one.isWaiting()).length <= 1;
      if (isAlone && moved - seen >= CHATTER_BYTES) credit += moved - seen;
      seen = moved;
      return credit + writtenBytes() - stream.writableLength;
    },
    onStall,
  };
}

interface Connection {
  taken(): number;
  claims: Set<{ isWaiting(): boolean }>;
}

const connections = new WeakMap<object, Connection>();

function connectionOf(stream: ServerHttp2Stream): Connection | undefined {
  const { session } = stream;
  if (session === undefined) return undefined;
  let found = connections.get(session);
  if (found === undefined) {
    const { socket } = session;
    found = { taken: () => (session.destroyed ? 0 : takenBytes(socket)), claims: new Set() };
    connections.set(session, found);
  }
  return found;
}

interface Handle {
  fd?: number;
  bytesWritten?: number;
  writeQueueSize?: number;
}

/** Bytes the peer's kernel has acknowledged: what the handle wrote less what the kernel holds. */
function takenBytes(socket: Socket): number {
  const handle = handleOf(socket);
  return (handle.bytesWritten ?? 0) - (handle.writeQueueSize ?? 0) - unacknowledgedBytes(handle);
}

function isWaiting(socket: Socket): boolean {
  if (socket.destroyed) return false;
  const handle = handleOf(socket);
  return (
    socket.writableLength > 0 || (handle.writeQueueSize ?? 0) > 0 || unacknowledgedBytes(handle) > 0
  );
}

/** Node offers the queue sizes on the socket's handle only. */
function handleOf(socket: Socket): Handle {
  return (socket as Socket & { _handle?: Handle | null })._handle ?? {};
}

const queued = new Int32Array(1);

function unacknowledgedBytes({ fd }: Handle): number {
  if (fd === undefined || fd < 0) return 0;
  const ioctl = libcFunction("int ioctl(int fd, unsigned long request, _Out_ int *value)");
  return Number(ioctl(fd, SIOCOUTQ, queued)) < 0 ? 0 : (queued[0] as number);
}
