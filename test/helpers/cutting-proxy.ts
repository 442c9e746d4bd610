import { once } from "node:events";
import { connect, createServer, type Server, type Socket } from "node:net";

/** How a connection is cut: as by a host that vanishes, by one that resets, by one that says it ends. */
export const CUTS = ["drop", "reset", "half-close"] as const;
/** One of them. */
export type Cut = (typeof CUTS)[number];

interface Pair {
  client: Socket;
  guest: Socket;
  cut: Cut | undefined;
}

/** Carries TCP connections to a guest and cuts them when it is told to. */
export class CuttingProxy implements AsyncDisposable {
  readonly #server: Server;
  readonly #pairs = new Set<Pair>();
  readonly #sockets = new Set<Socket>();
  readonly #target: number;
  /** How many bytes it has carried to the clients, and to the guest. */
  bytesDown = 0;
  bytesUp = 0;
  /** Called for whatever is carried. */
  onBytes: () => void = () => {};
  /** Whether it takes connections; else it resets them at once. */
  isOpen = true;
  /** How many connections it has taken. */
  taken = 0;

  private constructor(target: number) {
    this.#target = target;
    this.#server = createServer({ allowHalfOpen: true }, (client) => this.#carry(client));
  }

  /** Starts one that carries to `port` of this machine. */
  static async start(port: number): Promise<CuttingProxy> {
    const proxy = new CuttingProxy(port);
    proxy.#server.listen(0, "127.0.0.1");
    await once(proxy.#server, "listening");
    return proxy;
  }

  /** Where clients reach the guest. */
  get url(): string {
    const address = this.#server.address();
    return `http://127.0.0.1:${typeof address === "object" ? address?.port : 0}`;
  }

  /** How many connections are open and not cut. */
  get open(): number {
    return [...this.#pairs].filter(({ cut }) => cut === undefined).length;
  }

  /** Cuts the oldest connection. */
  cutOldest(how: Cut): void {
    const [oldest] = [...this.#pairs].filter(({ cut }) => cut === undefined);
    if (oldest !== undefined) this.#cut(oldest, how);
  }

  /** Cuts every connection. What is dropped stays open without a word until this is disposed. */
  cut(how: Cut): void {
    for (const pair of this.#pairs) if (pair.cut === undefined) this.#cut(pair, how);
  }

  #cut(pair: Pair, how: Cut): void {
    pair.cut = how;
    if (how === "reset") {
      pair.client.resetAndDestroy();
      pair.guest.resetAndDestroy();
    } else if (how === "half-close") {
      pair.client.end();
      pair.guest.end();
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    const closed = once(this.#server, "close");
    this.#server.close();
    for (const socket of this.#sockets) socket.destroy();
    await closed;
  }

  #carry(client: Socket): void {
    this.taken++;
    if (!this.isOpen) {
      client.on("error", () => {});
      client.resetAndDestroy();
      return;
    }
    const guest = connect({ port: this.#target, host: "127.0.0.1", allowHalfOpen: true });
    const pair: Pair = { client, guest, cut: undefined };
    this.#pairs.add(pair);
    this.#pump(pair, client, guest, (bytes) => (this.bytesUp += bytes));
    this.#pump(pair, guest, client, (bytes) => (this.bytesDown += bytes));
  }

  #pump(pair: Pair, from: Socket, to: Socket, count: (bytes: number) => void): void {
    this.#sockets.add(from);
    from.setNoDelay(true);
    from.on("error", () => {});
    from.on("data", (bytes: Buffer) => {
      if (pair.cut !== undefined) return;
      count(bytes.length);
      if (!to.write(bytes)) {
        from.pause();
        to.once("drain", () => from.resume());
      }
      this.onBytes();
    });
    from.on("end", () => {
      if (pair.cut !== "drop") to.end();
    });
    from.on("close", () => {
      this.#sockets.delete(from);
      this.#pairs.delete(pair);
      if (pair.cut !== "drop") to.destroy();
    });
  }
}
