import type { Client } from "@connectrpc/connect";
import {
  type Process,
  type ProcessEvent,
  Signal,
  type StartResponse,
} from "../../gen/process/process_pb.js";
import { asGuestError, GuestError, Interrupted, toGuestError } from "./errors.ts";

/** How a program is started. */
export interface StartOptions {
  args?: readonly string[];
  env?: Readonly<Record<string, string>>;
  cwd?: string;
  /** A name to find it by later. */
  tag?: string;
  /** Whether it gets a pipe as stdin. Default false: /dev/null. */
  stdin?: boolean;
  /** Runs it in a terminal of this size. */
  pty?: { cols: number; rows: number };
  /** Leaves the process; it lives on. */
  signal?: AbortSignal;
}

/** What a program wrote. */
export interface Output {
  kind: "stdout" | "stderr" | "pty";
  bytes: Uint8Array;
}

/** How a program ended. */
export interface End {
  exitCode: number;
  /** In words, as in "exit status 1". */
  status: string;
}

/** The guest's programs. */
export class GuestProcesses {
  readonly #unary: Client<typeof Process>;
  readonly #streaming: Client<typeof Process>;

  constructor(unary: Client<typeof Process>, streaming: Client<typeof Process>) {
    this.#unary = unary;
    this.#streaming = streaming;
  }

  /** Starts `command`. Resolves once it runs. */
  async start(command: string, options: StartOptions = {}): Promise<GuestProcess> {
    const { args = [], env = {}, cwd, tag, stdin = false, pty, signal } = options;
    const config = { cmd: command, args: [...args], envs: { ...env } };
    const request = {
      process: cwd === undefined ? config : { ...config, cwd },
      stdin,
      ...(tag !== undefined && { tag }),
      ...(pty !== undefined && { pty: { size: pty } }),
    };
    const leaving = new Leaving(signal);
    const stream = this.#streaming.start(request, { signal: leaving.signal });
    return await GuestProcess.open(this.#unary, stream, leaving);
  }

  /** Follows a program that runs already, from now on. `selector`: its pid or its tag. */
  async connect(selector: number | string, signal?: AbortSignal): Promise<GuestProcess> {
    const process = {
      selector:
        typeof selector === "number"
          ? ({ case: "pid", value: selector } as const)
          : ({ case: "tag", value: selector } as const),
    };
    const leaving = new Leaving(signal);
    const stream = this.#streaming.connect({ process }, { signal: leaving.signal });
    return await GuestProcess.open(this.#unary, stream, leaving);
  }

  /** The programs that run: pid, tag and command of each. */
  async list(): Promise<{ pid: number; tag: string | undefined; command: string }[]> {
    const { processes } = await asGuestError(() => this.#unary.list({}));
    return processes.map(({ pid, tag, config }) => ({ pid, tag, command: config?.cmd ?? "" }));
  }
}

/** Ends a stream, by its handle or by the caller's signal. */
class Leaving {
  readonly signal: AbortSignal;
  readonly #own = new AbortController();

  constructor(signal: AbortSignal | undefined) {
    this.signal = AbortSignal.any([this.#own.signal, ...(signal === undefined ? [] : [signal])]);
  }

  leave(): void {
    this.#own.abort();
  }
}

type Events = AsyncIterator<{ event?: ProcessEvent | undefined } | StartResponse>;

/** A program of the guest, as one stream shows it. */
export class GuestProcess implements AsyncIterable<Output> {
  readonly pid: number;
  readonly #client: Client<typeof Process>;
  readonly #events: Events;
  readonly #leaving: Leaving;
  #end: End | undefined;

  private constructor(
    pid: number,
    client: Client<typeof Process>,
    events: Events,
    leaving: Leaving,
  ) {
    this.pid = pid;
    this.#client = client;
    this.#events = events;
    this.#leaving = leaving;
  }

  /** Waits for the first event of `stream`, which says that the program runs. */
  static async open(
    client: Client<typeof Process>,
    stream: AsyncIterable<{ event?: ProcessEvent | undefined }>,
    leaving: Leaving,
  ): Promise<GuestProcess> {
    const events = stream[Symbol.asyncIterator]();
    const first = await asGuestError(() => events.next());
    const event = first.done === true ? undefined : first.value.event?.event;
    if (event?.case === "start") return new GuestProcess(event.value.pid, client, events, leaving);
    leaving.leave();
    throw new GuestError("failed", "the guest did not say that the program has started");
  }

  /**
   * What it writes, until its end. Iterate once. Throws `Interrupted` when the stream is cut
   * before the end was told.
   */
  async *[Symbol.asyncIterator](): AsyncIterator<Output> {
    try {
      while (this.#end === undefined) {
        const { event } = await this.#next();
        if (event?.case === "data" && event.value.output.case !== undefined) {
          yield { kind: event.value.output.case, bytes: event.value.output.value };
        } else if (event?.case === "end") {
          this.#end = { exitCode: event.value.exitCode, status: event.value.status };
        }
      }
    } finally {
      if (this.#end === undefined) this.#leaving.leave();
    }
  }

  /** How it ended. Takes what it still writes and throws it away. */
  async wait(): Promise<End> {
    for await (const _ of this) {
      // What nobody reads would hold the program up.
    }
    if (this.#end === undefined) throw new Interrupted(this.pid);
    return this.#end;
  }

  /** Everything it still writes to stdout as text, and how it ended. */
  async text(): Promise<{ stdout: string; stderr: string } & End> {
    const parts: Record<Output["kind"], Uint8Array[]> = { stdout: [], stderr: [], pty: [] };
    for await (const { kind, bytes } of this) parts[kind].push(bytes);
    if (this.#end === undefined) throw new Interrupted(this.pid);
    return { stdout: decode(parts.stdout), stderr: decode(parts.stderr), ...this.#end };
  }

  /** Writes to its stdin. Resolves when the guest's kernel has taken it. */
  async sendInput(bytes: Uint8Array): Promise<void> {
    const input = { input: { case: "stdin" as const, value: bytes } };
    await asGuestError(() => this.#client.sendInput({ process: this.#selector, input }));
  }

  /** Ends its stdin. */
  async closeStdin(): Promise<void> {
    await asGuestError(() => this.#client.closeStdin({ process: this.#selector }));
  }

  /** Sends it a signal. Default SIGTERM. */
  async kill(signal: "SIGTERM" | "SIGKILL" = "SIGTERM"): Promise<void> {
    const number = signal === "SIGKILL" ? Signal.SIGKILL : Signal.SIGTERM;
    const request = { process: this.#selector, signal: number };
    await asGuestError(() => this.#client.sendSignal(request));
  }

  /** Leaves it; it lives on. */
  disconnect(): void {
    this.#leaving.leave();
  }

  get #selector() {
    return { selector: { case: "pid" as const, value: this.pid } };
  }

  async #next(): Promise<ProcessEvent> {
    try {
      const { done, value } = await this.#events.next();
      if (done !== true && value.event !== undefined) return value.event;
    } catch (reason) {
      const error = toGuestError(reason);
      // Also canceled is what the caller's own dropped connections end with.
      const isCut = error.isRetryable || error.kind === "canceled";
      if (!isCut || this.#leaving.signal.aborted) throw error;
      throw new Interrupted(this.pid, { cause: reason });
    }
    throw new Interrupted(this.pid);
  }
}

function decode(parts: readonly Uint8Array[]): string {
  return new TextDecoder().decode(joined(parts));
}

function joined(parts: readonly Uint8Array[]): Uint8Array {
  const all = new Uint8Array(parts.reduce((sum, { length }) => sum + length, 0));
  let at = 0;
  for (const part of parts) {
    all.set(part, at);
    at += part.length;
  }
  return all;
}
