import { type ChildProcess, execFileSync, spawn } from "node:child_process";

let made = 0;

/** A network namespace that a pair of virtual cables joins to the test's own. */
export class Namespace implements Disposable {
  readonly name: string;
  /** The test's end: what an agent binds that is to be reached from inside. */
  readonly outside: string;
  /** The end inside. Addresses that are to vanish come from `addAddress`. */
  readonly inside: string;
  readonly #block: number;
  #addresses = 0;

  constructor() {
    // Test files run beside each other, each in a process of its own.
    const number = (process.pid % 4_096) * 4 + (made % 4);
    this.name = `thaw-t-${number.toString(36)}`;
    made += 1;
    this.#block = number * 8;
    this.outside = this.#address(1);
    this.inside = this.#address(2);
    try {
      // Left over from a test that was killed: the name is this process's own.
      this[Symbol.dispose]();
      this.#build();
    } catch (error) {
      this[Symbol.dispose]();
      throw error;
    }
  }

  /** Gives the namespace one more address that is reached through it. At most four. */
  addAddress(): string {
    this.#addresses += 1;
    const address = this.#address(2 + this.#addresses);
    this.show(address);
    ip("route", "add", `${address}/32`, "via", this.inside);
    return address;
  }

  /** From here on, packets to and from `address` are dropped without a word. */
  hide(address: string): void {
    ip("-n", this.name, "address", "delete", `${address}/32`, "dev", "lo");
  }

  /** Undoes `hide`. */
  show(address: string): void {
    ip("-n", this.name, "address", "add", `${address}/32`, "dev", "lo");
  }

  /** Starts a program inside; the pid is the program's own, and messages can be sent to it. */
  spawn(command: string, args: readonly string[]): ChildProcess {
    const inside = ["netns", "exec", this.name, command, ...args];
    return spawn("ip", inside, { stdio: ["ignore", "inherit", "inherit", "ipc"] });
  }

  [Symbol.dispose](): void {
    for (const what of [
      ["link", "delete", this.name],
      ["netns", "delete", this.name],
    ]) {
      try {
        ip(...what);
      } catch {
        // It was never made.
      }
    }
  }

  #build(): void {
    const { name } = this;
    ip("netns", "add", name);
    ip("link", "add", name, "type", "veth", "peer", "name", "eth0", "netns", name);
    ip("address", "add", `${this.outside}/29`, "dev", name);
    ip("link", "set", name, "up");
    ip("-n", name, "address", "add", `${this.inside}/29`, "dev", "eth0");
    ip("-n", name, "link", "set", "lo", "up");
    ip("-n", name, "link", "set", "eth0", "up");
  }

  /** From 198.18.0.0/15, which is kept for tests. */
  #address(host: number): string {
    const number = this.#block + host;
    return `198.${18 + (number >> 16)}.${(number >> 8) & 255}.${number & 255}`;
  }
}

/** Why this machine cannot make one, in words; `undefined` when it can. */
export function namespaceProblem(): string | undefined {
  try {
    using _ = new Namespace();
    return undefined;
  } catch (error) {
    return (error as Error).message;
  }
}

function ip(...args: string[]): void {
  execFileSync("ip", args, { stdio: ["ignore", "ignore", "pipe"] });
}
