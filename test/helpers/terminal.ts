import { type Client, createClient } from "@connectrpc/connect";
import { createConnectTransport } from "@connectrpc/connect-node";
import { expect, vi } from "vitest";
import { Process, Signal } from "../../gen/process/process_pb.js";
import { LAUNCHER } from "./binary.ts";
import { type Event, type Followed, follow } from "./process.ts";

/** How a terminal is opened. */
export interface TerminalOptions {
  /** Default: `dist/thaw`. */
  command?: string;
  env?: Record<string, string>;
  cols?: number;
  rows?: number;
}

/** A program in a real terminal, at which the test sits. The agent at `url` has the terminal. */
export class Terminal implements AsyncDisposable {
  readonly #client: Client<typeof Process>;
  readonly #followed: Followed;
  readonly #leaving: AbortController;
  readonly #reading: Promise<unknown>;

  private constructor(
    client: Client<typeof Process>,
    followed: Followed,
    leaving: AbortController,
  ) {
    this.#client = client;
    this.#followed = followed;
    this.#leaving = leaving;
    this.#reading = followed.rest().catch(() => {});
  }

  /** Runs `thaw` with these arguments in a terminal of the agent at `url`. */
  static async open(
    url: string,
    args: readonly string[],
    { command = LAUNCHER, env = {}, cols = 80, rows = 24 }: TerminalOptions = {},
  ): Promise<Terminal> {
    const client = createClient(
      Process,
      createConnectTransport({ baseUrl: url, httpVersion: "1.1" }),
    );
    const leaving = new AbortController();
    const envs = { TERM: "xterm-256color", ...env };
    const request = {
      process: { cmd: command, args: [...args], envs },
      pty: { size: { cols, rows } },
    };
    const followed = await follow(client.start(request, { signal: leaving.signal }));
    return new Terminal(client, followed, leaving);
  }

  get pid(): number {
    return this.#followed.pid;
  }

  /** All that was shown so far, escape sequences and all. */
  get shown(): string {
    const chunks = this.#followed.events.flatMap((event) =>
      event.case === "data" ? [event.value.output.value ?? new Uint8Array()] : [],
    );
    return Buffer.concat(chunks).toString();
  }

  /** Types these keys. */
  async type(keys: string): Promise<void> {
    const input = { input: { case: "pty" as const, value: Buffer.from(keys) } };
    await this.#client.sendInput({ process: this.#followed.selector, input });
  }

  /** Waits until `pattern` was shown. */
  async until(pattern: string | RegExp): Promise<void> {
    await vi.waitFor(
      () => {
        const { shown } = this;
        if (typeof pattern === "string") expect(shown).toContain(pattern);
        else expect(shown).toMatch(pattern);
      },
      { timeout: 20_000, interval: 10 },
    );
  }

  /** Pulls at its corner. */
  async resize(cols: number, rows: number): Promise<void> {
    await this.#client.update({
      process: this.#followed.selector,
      pty: { size: { cols, rows } },
    });
  }

  /** The program's exit code, once it has ended. */
  async exitCode(): Promise<number> {
    await this.#reading;
    const end = this.#followed.events.find(
      (event): event is Event & { case: "end" } => event.case === "end",
    );
    return end?.value.exitCode ?? Number.NaN;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#client
      .sendSignal({ process: this.#followed.selector, signal: Signal.SIGKILL })
      .catch(() => {});
    await this.#reading;
    this.#leaving.abort();
  }
}
