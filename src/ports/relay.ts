import { connect, createServer, type Server, type Socket } from "node:net";
import type { Gauge } from "../lib/gauge.ts";
import { descriptorOf, resetOnClose, setKeepAlive } from "../system/tcp.ts";

/** Where a relay accepts and where it leads. */
export interface Route {
  /** The guest's outer address. */
  fromAddress: string;
  /** The same port on both sides. */
  port: number;
  /** The loopback address of the listener. */
  toAddress: string;
}

/** What a relay is made with. */
export interface RelayOptions {
  route: Route;
  /** Counts the connections that are carried, those of other relays as well. */
  carried: Gauge;
  /** How many there may be. */
  most: number;
  /** Called when one is refused because of that. */
  onRefused: () => void;
}

/** A silent peer is asked whether it is there; one that is gone is so after 30 s. */
const KEEP_ALIVE = { idleS: 15, intervalS: 5, probes: 3 };

/** Carries connections to one port of the outer address to the same port of loopback. */
export class Relay {
  readonly #options: RelayOptions;
  readonly #server: Server;
  readonly #sockets = new Set<Socket>();
  #isClosed = false;

  constructor(options: RelayOptions) {
    this.#options = options;
    this.#server = createServer({ allowHalfOpen: true }, (socket) => this.#carry(socket));
  }

  /** Binds the outer port. Rejects when that cannot be done. */
  static async open(options: RelayOptions): Promise<Relay> {
    const { route } = options;
    const relay = new Relay(options);
    await new Promise<void>((resolve, reject) => {
      relay.#server.once("error", reject);
      relay.#server.listen(route.port, route.fromAddress, () => {
        relay.#server.off("error", reject);
        relay.#server.on("error", () => relay.close());
        resolve();
      });
    });
    return relay;
  }

  /** Whether it accepts nothing more, by `close` or by a failure. */
  get isClosed(): boolean {
    return this.#isClosed;
  }

  /** Ends the relay and everything it carries, at once: the peers may be gone. */
  close(): void {
    this.#isClosed = true;
    this.#server.close();
    for (const socket of this.#sockets) cut(socket);
  }

  /** Each side may end its direction while the other goes on; who is cut on one is cut on both. */
  #carry(outer: Socket): void {
    const { route, carried, most, onRefused } = this.#options;
    if (carried.count >= most) {
      onRefused();
      cut(outer);
      return;
    }
    const place = carried.enter();
    outer.once("close", () => place[Symbol.dispose]());
    const { port, toAddress: host } = route;
    const inner = connect({ port, host, allowHalfOpen: true });
    const fd = descriptorOf(outer);
    if (fd !== undefined) setKeepAlive(fd, KEEP_ALIVE);
    for (const [one, other] of [
      [outer, inner],
      [inner, outer],
    ] as const) {
      this.#sockets.add(one);
      one.setNoDelay();
      one.on("error", () => cut(other));
      one.once("close", () => this.#sockets.delete(one));
      one.pipe(other);
    }
  }
}

/** Ends it by RST: an end would make what has come so far look complete. */
function cut(socket: Socket): void {
  const fd = descriptorOf(socket);
  if (fd !== undefined) resetOnClose(fd);
  socket.destroy();
}
