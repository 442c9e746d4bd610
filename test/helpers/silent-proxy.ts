import type { ChildProcess } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { Namespace } from "./namespace.ts";

const PROGRAM = join(import.meta.dirname, "../fixtures/silent-proxy.ts");

/**
 * Carries connections to an agent from inside a namespace, and can play the peer that vanishes.
 * The agent's kernel sees the proxy only.
 */
export class SilentProxy implements AsyncDisposable {
  /** A Unix socket; what connects to it is carried to the agent. */
  readonly path: string;
  /** Where the agent sees its connections come from. */
  readonly address: string;
  readonly #directory = mkdtempSync(join(tmpdir(), "thaw-proxy-"));
  readonly #namespace: Namespace;
  readonly #child: ChildProcess;
  #isHidden = false;

  private constructor(namespace: Namespace, port: number) {
    this.path = join(this.#directory, "socket");
    this.address = namespace.addAddress();
    this.#namespace = namespace;
    const target = [namespace.outside, String(port), this.address];
    this.#child = namespace.spawn(process.execPath, [PROGRAM, this.path, ...target]);
  }

  /** Starts one that carries to `port` at the namespace's outside. */
  static async start(namespace: Namespace, port: number): Promise<SilentProxy> {
    const proxy = new SilentProxy(namespace, port);
    await once(proxy.#child, "message");
    return proxy;
  }

  /** Stops reading, as a program that hangs: its kernel still answers. */
  async hold(): Promise<void> {
    await this.#do("hold");
  }

  /** Drops everything from here on: no byte, no FIN, no RST and no answer of its kernel. */
  async vanish(): Promise<void> {
    await this.hold();
    this.#namespace.hide(this.address);
    this.#isHidden = true;
  }

  /** Comes back as if nothing had been. */
  async resume(): Promise<void> {
    if (this.#isHidden) this.#namespace.show(this.address);
    this.#isHidden = false;
    await this.#do("resume");
  }

  /** Breaks every connection to the agent by RST. */
  async reset(): Promise<void> {
    await this.#do("reset");
  }

  /** Says on every connection to the agent that nothing more comes, and goes on to read. */
  async halfClose(): Promise<void> {
    await this.#do("half-close");
  }

  async [Symbol.asyncDispose](): Promise<void> {
    const ended = once(this.#child, "close");
    this.#child.kill("SIGKILL");
    await ended;
    rmSync(this.#directory, { recursive: true, force: true });
  }

  async #do(deed: string): Promise<void> {
    const done = once(this.#child, "message");
    this.#child.send(deed);
    await done;
  }
}
