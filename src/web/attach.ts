import { durationFromMs } from "@bufbuild/protobuf/wkt";
import { type Client, createClient, type Transport } from "@connectrpc/connect";
import type { IDisposable, ITerminalAddon, Terminal } from "@xterm/xterm";
import { Process } from "../../gen/process/process_pb.js";
import { type GuestError, toGuestError } from "../client/errors.ts";
import type { GuestProcess } from "../client/guest-process.ts";
import { GuestProcesses, type StartOptions } from "../client/process.ts";
import type { End } from "../client/process-end.ts";
import type { ProcessOutput } from "../client/process-follow.ts";
import { isReply } from "./replies.ts";
import { ShownOutput, WINDOW_BYTES } from "./shown-output.ts";
import { Typing } from "./typing.ts";

/** How much output the guest keeps for who comes back, in bytes. */
const LOG_BYTES = 8 * 1024 * 1024;
const SIGHUP = 1;
/** How long a program may take to end after its terminal was hung up, in ms. */
const GRACE_MS = 500;

/**
 * What a terminal shows.
 *
 * - `command`  a program that is started in it.
 * - `pid`      a program that runs already. `written` is how much it has written so far: what a
 *              terminal would answer to earlier output is not sent again.
 */
export type Shown = { command: string; options?: StartOptions } | { pid: number; written?: number };

/**
 * What has become of it.
 *
 * - `starting`     asked for.
 * - `attached`     output flows, keys arrive.
 * - `interrupted`  cut off; it goes on by itself.
 * - `resting`      left by `rest()`.
 * - `ended`        the program has ended.
 * - `failed`       refused, or unknown to the guest.
 */
export type AttachState =
  | { name: "starting" | "attached" | "interrupted" | "resting" }
  | { name: "ended"; end: End }
  | { name: "failed"; error: GuestError };

/** How a terminal is attached. */
export interface AttachOptions {
  /** The way to the agent: any transport of Connect, as connect-web's. */
  transport: Transport;
  shown: Shown;
  /** Shows and sends nothing, as with a token that only shows. Default false. */
  isReadOnly?: boolean;
  /** Told every change. */
  onState?: (state: AttachState) => void;
  /** Told that output between two offsets is lost: the guest kept no more. */
  onGap?: (from: number, to: number) => void;
}

/**
 * An addon of xterm.js that shows a program of the guest: output with flow control, so that a flood
 * neither fills the page nor holds up a key; keys in order, each once; both across cuts and
 * snapshots of the machine.
 */
export class AttachAddon implements ITerminalAddon {
  readonly #options: AttachOptions;
  readonly #client: Client<typeof Process>;
  readonly #processes: GuestProcesses;
  readonly #typing: Typing;
  readonly #output: ShownOutput;
  readonly #listening: IDisposable[] = [];
  #terminal: Terminal | undefined;
  /** Absent while nobody is attached: what is typed waits for the next one. */
  #handle: GuestProcess | undefined;
  #opening: Promise<GuestProcess> | undefined;
  #stay: AbortController | undefined;
  #pid: number | undefined;
  #isWanted = false;
  #state: AttachState = { name: "resting" };

  constructor(options: AttachOptions) {
    const { transport, shown } = options;
    this.#options = options;
    this.#client = createClient(Process, transport);
    this.#processes = new GuestProcesses(this.#client, this.#client);
    this.#pid = "pid" in shown ? shown.pid : undefined;
    this.#output = new ShownOutput("pid" in shown ? shown.written : 0);
    this.#typing = new Typing(() => this.#handle);
  }

  /** The program's pid, once it runs. */
  get pid(): number | undefined {
    return this.#pid;
  }

  /** What has become of it. */
  get state(): AttachState {
    return this.#state;
  }

  /** Attaches to `terminal`; called by its `loadAddon`. */
  activate(terminal: Terminal): void {
    this.#terminal = terminal;
    if (this.#options.isReadOnly !== true) {
      this.#listening.push(
        terminal.onData((text) => this.#type(text)),
        terminal.onBinary((text) => this.#add(Uint8Array.from(text, (c) => c.charCodeAt(0)))),
        terminal.onResize((size) => void this.#resize(size)),
      );
    }
    this.wake();
  }

  /** Leaves the program, which lives on. */
  dispose(): void {
    this.#stay?.abort();
    this.#typing.close();
    for (const listener of this.#listening) listener.dispose();
  }

  /** Lets the stream go, as while nobody looks. What was typed still arrives first. */
  async rest(): Promise<void> {
    const stay = this.#stay;
    if (stay === undefined) return;
    this.#isWanted = false;
    // A program that was left while it starts would be nobody's.
    if (this.#pid === undefined) await this.#opening?.catch(() => {});
    await this.#typing.settled();
    if (this.#isWanted || this.#stay !== stay) return;
    this.#leave();
    if (this.#state.name !== "ended") this.#become({ name: "resting" });
  }

  /** Attaches anew where it was, as when calls carry another token. */
  renew(): void {
    if (this.#pid !== undefined) this.#leave();
    this.wake();
  }

  /** Goes on after `rest()` with the byte after the last. */
  wake(): void {
    this.#isWanted = true;
    if (this.#stay !== undefined || this.#state.name === "ended") return;
    this.#stay = new AbortController();
    void this.#follow(this.#stay.signal);
  }

  /** Ends the program and all that it has started. */
  async kill(): Promise<void> {
    if (this.#pid === undefined) return;
    await this.#client.sendSignal({
      process: { selector: { case: "pid", value: this.#pid } },
      number: SIGHUP,
      scope: true,
      grace: durationFromMs(GRACE_MS),
    });
  }

  #leave(): void {
    this.#stay?.abort();
    this.#stay = undefined;
    this.#handle = undefined;
  }

  async #follow(signal: AbortSignal): Promise<void> {
    this.#become({ name: "starting" });
    try {
      this.#opening = this.#open(signal);
      const handle = await this.#opening;
      this.#pid = handle.pid;
      this.#handle = handle;
      this.#attached();
      this.#typing.goOn();
      for await (const output of handle) {
        if (signal.aborted) return;
        await this.#show(output, handle);
      }
      if (!signal.aborted) this.#become({ name: "ended", end: await handle.wait() });
    } catch (reason) {
      if (!signal.aborted) this.#fail(toGuestError(reason));
    }
  }

  #open(signal: AbortSignal): Promise<GuestProcess> {
    const { shown } = this.#options;
    const common = {
      signal,
      windowBytes: WINDOW_BYTES,
      // A machine may be frozen for as long as it likes.
      giveUpAfterMs: Number.POSITIVE_INFINITY,
      firstContactMs: Number.POSITIVE_INFINITY,
      onInterrupted: () => this.#become({ name: "interrupted" }),
      onResumed: () => this.#attached(),
    };
    if (this.#pid === undefined && "command" in shown) {
      const { cols = 80, rows = 24 } = this.#terminal ?? {};
      const started = { pty: { cols, rows }, logBytes: LOG_BYTES, ...shown.options };
      return this.#processes.start(shown.command, { ...started, ...common });
    }
    return this.#processes.connect(this.#pid ?? 0, { from: this.#output.offsets, ...common });
  }

  #attached(): void {
    this.#become({ name: "attached" });
    // It may have changed its size meanwhile.
    if (this.#terminal !== undefined) void this.#resize(this.#terminal);
  }

  async #show(output: ProcessOutput, handle: GuestProcess): Promise<void> {
    const terminal = this.#terminal;
    if (terminal === undefined) return;
    if (output.kind === "gap") {
      this.#output.skip(output.output, output.to);
      this.#options.onGap?.(output.from, output.to);
      return;
    }
    await this.#output.write(terminal, output, (upTo) => {
      if (handle === this.#handle) handle.acknowledge(upTo);
    });
  }

  #type(text: string): void {
    if (this.#output.isReplay && isReply(text)) return;
    this.#add(new TextEncoder().encode(text));
  }

  #add(bytes: Uint8Array): void {
    if (this.#state.name !== "ended" && this.#state.name !== "failed") this.#typing.add(bytes);
  }

  async #resize({ cols, rows }: { cols: number; rows: number }): Promise<void> {
    if (this.#options.isReadOnly === true || this.#state.name !== "attached") return;
    try {
      await this.#handle?.resize({ cols, rows });
    } catch {
      // It has ended, or the next resize tells.
    }
  }

  #fail(error: GuestError): void {
    this.#leave();
    this.#become({ name: "failed", error });
  }

  #become(state: AttachState): void {
    this.#state = state;
    this.#options.onState?.(state);
  }
}
