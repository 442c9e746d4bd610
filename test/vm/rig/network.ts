import { type ChildProcess, fork } from "node:child_process";
import type { Socket } from "node:net";
import { join } from "node:path";
import { run, tryRun } from "./commands.ts";

/** The guest's address, the same in every machine. */
export const GUEST = "10.99.0.2";
const HOST = "10.99.0.1";
/** A second address of the host, beyond the guest's gateway: without it a peer there is silent. */
export const FAR = "10.98.0.1";
/** Fixed, as the guest's table of neighbours is part of the snapshot. */
const HOST_MAC = "02:00:0a:63:00:01";
export const GUEST_MAC = "02:00:0a:63:00:02";

/** A network namespace with the host's end of the cable in it. */
export class Network {
  readonly name: string;
  #door: Door | undefined;

  /** `hasFar`: whether peers at the far address are there. */
  constructor(name: string, hasFar = true) {
    this.name = name;
    this.close();
    const ip = (...args: string[]) => run("ip", ["-n", name, ...args]);
    run("ip", ["netns", "add", name]);
    ip("link", "set", "lo", "up");
    ip("tuntap", "add", "dev", "tap0", "mode", "tap");
    ip("link", "set", "tap0", "address", HOST_MAC);
    ip("addr", "add", `${HOST}/24`, "dev", "tap0");
    ip("link", "set", "tap0", "up");
    if (hasFar) ip("addr", "add", `${FAR}/32`, "dev", "lo");
    this.#introduce();
  }

  /** Loses everything that either side sends. */
  unplug(): void {
    run("ip", ["-n", this.name, "link", "set", "tap0", "down"]);
  }

  /** Carries again what either side sends. */
  plugIn(): void {
    run("ip", ["-n", this.name, "link", "set", "tap0", "up"]);
    this.#introduce();
  }

  /** A TCP connection that ends in this namespace, whoever holds it. */
  async connect(port: number, options: ConnectOptions = {}): Promise<Socket> {
    this.#door ??= new Door(this.name);
    return await this.#door.connect(port, options);
  }

  /** Nobody has to ask for the guest's hardware address, which would take a second. */
  #introduce(): void {
    const guest = ["neigh", "replace", GUEST, "lladdr", GUEST_MAC];
    run("ip", ["-n", this.name, ...guest, "dev", "tap0", "nud", "permanent"]);
  }

  /** Removes the namespace. Sockets that are held keep its remains alive, unseen. */
  close(): void {
    this.#door?.close();
    this.#door = undefined;
    tryRun("ip", ["netns", "del", this.name]);
  }
}

/** How to connect. */
export interface ConnectOptions {
  /** Default 20,000: the guest is emulated, and its host may be busy. */
  timeoutMs?: number;
  /** Where from; default the address beside the guest's. */
  localAddress?: string;
}

interface Answer {
  id: number;
  error?: string;
}

/** A process inside a namespace, which connects there and hands the sockets out. */
class Door {
  readonly #child: ChildProcess;
  readonly #waiting = new Map<number, (answer: Answer, socket: Socket | undefined) => void>();
  #lastId = 0;

  constructor(name: string) {
    this.#child = fork(join(import.meta.dirname, "door.ts"), [], {
      execPath: "ip",
      execArgv: ["netns", "exec", name, process.execPath],
      stdio: ["ignore", "inherit", "inherit", "ipc"],
    });
    this.#child.on("message", (answer: Answer, socket) => {
      this.#waiting.get(answer.id)?.(answer, socket as Socket | undefined);
      this.#waiting.delete(answer.id);
    });
    this.#child.on("exit", () => {
      for (const [id, settle] of this.#waiting) settle({ id, error: "the door closed" }, undefined);
      this.#waiting.clear();
    });
    this.#child.unref();
  }

  connect(port: number, { timeoutMs = 20_000, localAddress }: ConnectOptions): Promise<Socket> {
    this.#lastId += 1;
    const id = this.#lastId;
    return new Promise((resolve, reject) => {
      this.#waiting.set(id, ({ error }, socket) => {
        if (socket === undefined) reject(new Error(`port ${port}: ${error}`));
        else resolve(socket);
      });
      this.#child.send({ id, host: GUEST, port, timeoutMs, localAddress });
    });
  }

  close(): void {
    if (this.#child.connected) this.#child.disconnect();
  }
}
