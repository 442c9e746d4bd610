import { Gauge } from "../lib/gauge.ts";
import type { Logger } from "../log.ts";
import { openFileLimit } from "../system/open-file-limit.ts";
import { Relay } from "./relay.ts";
import { type Listener, scanListeners } from "./scan.ts";

/** How often listeners are looked for, in ms. From the envd contract. */
const SCAN_MS = 1_000;
/** The most ports that are forwarded at once; further ones wait until some are gone. */
const RELAYS = 1_000;

/** What the forwarder is made with. */
export interface ForwarderOptions {
  /** The guest's outer address, as in 169.254.0.21. Where it is missing nothing is forwarded. */
  address: string;
  /** A port that is never forwarded: the agent's own. */
  ownPort(): number;
  log: Logger;
  /**
   * How many connections may be carried at once. Each takes two descriptors; by default, all
   * together take a quarter of those that the agent may have.
   */
  mostConnections?: number | undefined;
}

/**
 * Makes services that listen on the guest's loopback reachable at its outer address. Looks for
 * them while it runs, and closes the way to those that have gone.
 */
export class Forwarder {
  readonly #options: ForwarderOptions;
  readonly #relays = new Map<string, Relay>();
  readonly #carried = new Gauge();
  readonly #most: number;
  #refused = 0;
  #timer: NodeJS.Timeout | undefined;
  #scan: Promise<void> | undefined;

  constructor(options: ForwarderOptions) {
    this.#options = options;
    this.#most = options.mostConnections ?? Math.floor(openFileLimit() / 8);
  }

  /** The ports that are forwarded now. */
  get ports(): number[] {
    return [...this.#relays.keys()].map((key) => Number(key.split(" ")[0]));
  }

  /** Whether it listens on `port` of `address` itself. */
  isOwn(address: string, port: number): boolean {
    return address === this.#options.address && this.ports.includes(port);
  }

  /** Where the listener with that `inode` is reached from outside; empty where it is not. */
  forwardedAt(port: number, inode: number): string {
    return this.#relays.has(keyOf({ port, inode })) ? `${this.#options.address}:${port}` : "";
  }

  /** What wakes the agent, in words; `undefined` while nothing does. */
  get awake(): string | undefined {
    return this.#timer === undefined ? undefined : `ports: a scan every ${SCAN_MS} ms`;
  }

  /** Begins to look for listeners. Again, it does nothing. */
  start(): void {
    this.#timer ??= setInterval(() => void this.#look(), SCAN_MS).unref();
  }

  /** Stops looking and ends what is carried. Resolves when nothing of it runs any more. */
  async stop(): Promise<void> {
    clearInterval(this.#timer);
    this.#timer = undefined;
    await this.#scan;
    for (const relay of this.#relays.values()) relay.close();
    this.#relays.clear();
  }

  /** One look at a time, however long it takes. */
  async #look(): Promise<void> {
    if (this.#scan !== undefined) return;
    this.#scan = this.#update().catch((reason: unknown) => {
      this.#options.log.warn({ err: reason }, "looking for ports to forward failed");
    });
    await this.#scan;
    this.#scan = undefined;
  }

  async #update(): Promise<void> {
    this.#tellRefused();
    const listeners = new Map<string, Listener>();
    for (const listener of await scanListeners()) {
      if (listener.port !== this.#options.ownPort()) listeners.set(keyOf(listener), listener);
    }
    for (const [key, relay] of this.#relays) {
      if (listeners.has(key) && !relay.isClosed) continue;
      relay.close();
      this.#relays.delete(key);
    }
    for (const [key, listener] of listeners) {
      if (this.#timer === undefined) return;
      if (!this.#relays.has(key) && this.#relays.size < RELAYS) await this.#open(key, listener);
    }
  }

  #tellRefused(): void {
    const { log } = this.#options;
    const facts = { refused: this.#refused, most: this.#most };
    if (this.#refused > 0) log.warn(facts, "no room for further connections to forwarded ports");
    this.#refused = 0;
  }

  /** Outside a VM the address is missing, and a port may be taken by a program that needs no help. */
  async #open(key: string, { port, address }: Listener): Promise<void> {
    const relay = await Relay.open({
      route: { fromAddress: this.#options.address, port, toAddress: address },
      carried: this.#carried,
      most: this.#most,
      onRefused: () => (this.#refused += 1),
    }).catch((reason: unknown) => {
      this.#options.log.debug({ err: reason, port }, "a port cannot be forwarded");
    });
    if (relay !== undefined) this.#relays.set(key, relay);
  }
}

function keyOf({ port, inode }: Pick<Listener, "port" | "inode">): string {
  return `${port} ${inode}`;
}
