import { once } from "node:events";
import { connect, type Socket } from "node:net";
import { AgentError } from "../errors.ts";
import { messageOf } from "../lib/error-text.ts";
import { WakeUp } from "../lib/wake-up.ts";
import { descriptorOf, resetOnClose, setKeepAlive } from "../system/tcp.ts";

/** Where a tunnel leads. */
export interface TunnelTarget {
  /** An address or a name. Empty: the guest's loopback. */
  host: string;
  port: number;
}

const LOOPBACK = ["127.0.0.1", "::1"];
/** How long who listens may take to accept, in ms. The kernel alone would try for two minutes. */
const CONNECT_MS = 10_000;
/** A silent peer is asked whether it is there; one that is gone is so after 30 s. */
const KEEP_ALIVE = { idleS: 15, intervalS: 5, probes: 3 };

/**
 * One TCP connection inside the guest, led by somebody outside. Holds at most what Node's two
 * buffers of it take; whoever reads or writes slower holds up the other side.
 */
export class Tunnel {
  /** Resolves when the machine has taken everything up to the end; rejects when it broke before. */
  readonly sent: Promise<void>;
  readonly #socket: Socket;
  readonly #news = new WakeUp();
  readonly #gone = new AbortController();
  #failure: unknown;

  private constructor(socket: Socket, name: string) {
    this.#socket = socket;
    const fd = descriptorOf(socket);
    if (fd !== undefined) setKeepAlive(fd, KEEP_ALIVE);
    this.sent = new Promise((resolve, reject) => {
      socket.once("finish", resolve);
      this.#gone.signal.addEventListener("abort", () => reject(this.#failure), { once: true });
    });
    // Who reads hears of a failure first, and may never ask for this.
    this.sent.catch(() => {});
    for (const event of ["readable", "end"]) socket.on(event, () => this.#news.wake());
    socket.on("error", (reason) => {
      const message = `${name}: the connection broke: ${messageOf(reason)}`;
      this.#failure ??= new AgentError("wrong-state", message, { cause: reason });
    });
    socket.once("close", () => {
      this.#failure ??= new AgentError("wrong-state", `${name}: the connection is closed`);
      this.#gone.abort(this.#failure);
    });
  }

  /**
   * Connects. Throws `invalid` for a port that is none and `wrong-state` when nobody accepts;
   * rejects when `signal` aborts.
   */
  static async open({ host, port }: TunnelTarget, signal: AbortSignal): Promise<Tunnel> {
    if (port < 1 || port > 65_535)
      throw new AgentError("invalid", `port: there is no port ${port}`);
    const name = nameOf(host, port);
    let failure: unknown;
    for (const address of host === "" ? LOOPBACK : [host]) {
      try {
        return new Tunnel(await connectTo(address, port, signal), name);
      } catch (reason) {
        signal.throwIfAborted();
        failure ??= reason;
      }
    }
    const message = `${name}: nobody accepts a connection: ${messageOf(failure)}`;
    throw new AgentError("wrong-state", message, { cause: failure });
  }

  /**
   * The next bytes: `idle` when none have come for `idleMs`, `end` when none will come. Throws
   * when the connection breaks.
   */
  async read(idleMs: number): Promise<Buffer | "idle" | "end"> {
    for (;;) {
      const bytes = this.#socket.read() as Buffer | null;
      if (bytes !== null) return bytes;
      if (this.#socket.readableEnded) return "end";
      if (!(await this.#news.wait(idleMs, this.#gone.signal))) return "idle";
    }
  }

  /** Writes; resolves when there is room for more. Throws when the connection breaks. */
  async write(bytes: Uint8Array): Promise<void> {
    const { signal } = this.#gone;
    signal.throwIfAborted();
    if (this.#socket.write(bytes)) return;
    await once(this.#socket, "drain", { signal }).catch((reason: unknown) => {
      throw this.#failure ?? reason;
    });
  }

  /** Nothing more is written. The other direction goes on. */
  end(): void {
    this.#socket.end();
  }

  /** Ends it at once for `reason`, by RST: who listens learns that it was cut. */
  fail(reason: unknown): void {
    this.#failure ??= reason;
    const fd = descriptorOf(this.#socket);
    if (fd !== undefined) resetOnClose(fd);
    this.#socket.destroy();
  }

  /** Lets go of it: in order when both directions have ended, and else as `fail` does. */
  close(): void {
    if (this.#socket.readableEnded && this.#socket.writableFinished) this.#socket.destroy();
    else this.fail(undefined);
  }
}

async function connectTo(host: string, port: number, signal: AbortSignal): Promise<Socket> {
  const socket = connect({ host, port, allowHalfOpen: true, noDelay: true });
  const late = () => socket.destroy(new Error(`no answer within ${CONNECT_MS} ms`));
  const timer = setTimeout(late, CONNECT_MS);
  try {
    await once(socket, "connect", { signal });
    return socket;
  } catch (reason) {
    // What fails from now on has been told already.
    socket.on("error", () => {});
    socket.destroy();
    throw reason;
  } finally {
    clearTimeout(timer);
  }
}

function nameOf(host: string, port: number): string {
  if (host === "") return `port ${port}`;
  return host.includes(":") ? `[${host}]:${port}` : `${host}:${port}`;
}
