import type { GuestProcess } from "../client/index.ts";
import { ByteInput } from "./byte-input.ts";
import { ByteOutput, ReaderGone } from "./byte-output.ts";
import { ESCAPES_HELP, Escapes, type Typed } from "./escapes.ts";
import { exitCodeOf } from "./exit-code.ts";
import { grey } from "./paint.ts";
import { RawTerminal } from "./raw-terminal.ts";
import { ScreenModes } from "./screen-modes.ts";
import { signalNumber } from "./signal-names.ts";

/** The signals that are the program's and not ours. */
const FORWARDED = ["SIGINT", "SIGTERM", "SIGHUP", "SIGQUIT"] as const;
/** A terminal that is not shown anywhere. */
const UNSEEN = { cols: 80, rows: 24 };
/** What a terminal may have under way, so that Ctrl-C takes effect at once, in bytes. */
const WINDOW_BYTES = 256 * 1024;
const EOT = Uint8Array.of(4);
const SIGPIPE = 13;

/** What the program is opened with, so that the session hears of it. */
export interface SessionHooks {
  signal: AbortSignal;
  /** A guest that is not there is told at once. */
  firstContactMs: number;
  onInterrupted: () => void;
  onResumed: () => void;
  /** What only a terminal needs. */
  windowBytes?: number;
  giveUpAfterMs?: number;
}

/** How a person, or what stands in for one, is joined to a program. */
export interface SessionOptions {
  /** Starts the program or goes to it. */
  open: (hooks: SessionHooks) => Promise<GuestProcess>;
  /** What to type to come back to it. */
  comeBack: (pid: number) => string;
  /** It runs in a terminal. */
  isTerminal: boolean;
  /** Our stdin is for it. */
  takesInput: boolean;
  /** Signals that we get are for it; else they make us leave it. */
  forwardsSignals: boolean;
  /** The escape character, if there is to be one. */
  escape: string | undefined;
}

/** The size of our terminal. */
export function windowSize(): { cols: number; rows: number } {
  const [cols, rows] = process.stdout.isTTY ? process.stdout.getWindowSize() : [];
  // A terminal that nobody has told its size has none.
  return cols && rows ? { cols, rows } : UNSEEN;
}

/** Our stdin, stdout, stderr and signals, joined to a program of a guest until it ends or is left. */
export class Session {
  readonly #options: SessionOptions;
  readonly #leaving = new AbortController();
  readonly #stdout = new ByteOutput(1);
  readonly #stderr = new ByteOutput(2);
  readonly #modes = new ScreenModes();
  #raw: RawTerminal | undefined;
  #isOpen = false;
  #isCut = false;
  /** The exit code of who left. */
  #leftWith: number | undefined;

  constructor(options: SessionOptions) {
    this.#options = options;
  }

  /** Resolves to the exit code: the program's own, or 0 when it was left. */
  async run(): Promise<number> {
    const { open, isTerminal, takesInput } = this.#options;
    const guest = await open({
      signal: this.#leaving.signal,
      firstContactMs: 0,
      onInterrupted: () => this.#onInterrupted(),
      onResumed: () => this.#onResumed(guest),
      // A person decides how long to wait for a machine that is frozen.
      ...(isTerminal && { windowBytes: WINDOW_BYTES, giveUpAfterMs: Number.POSITIVE_INFINITY }),
    });
    this.#isOpen = true;
    if (isTerminal && takesInput && process.stdin.isTTY) this.#raw = new RawTerminal();
    const input = takesInput ? new ByteInput() : undefined;
    const stopListening = this.#listen(guest);
    try {
      if (input !== undefined) void this.#type(guest, input);
      await this.#show(guest);
      if (this.#leftWith !== undefined) return this.#leftWith;
      return exitCodeOf(await guest.wait());
    } catch (reason) {
      if (this.#leftWith !== undefined) return this.#leftWith;
      if (reason instanceof ReaderGone) await this.#breakPipe(guest);
      throw reason;
    } finally {
      stopListening();
      input?.close();
      process.stdout.write(isTerminal && process.stdout.isTTY ? this.#modes.undo() : "");
      this.#raw?.[Symbol.dispose]();
      this.#raw = undefined;
      if (this.#leftWith !== undefined) this.#remark(this.#options.comeBack(guest.pid));
    }
  }

  async #show(guest: GuestProcess): Promise<void> {
    for await (const output of guest) {
      if (output.kind === "gap") {
        this.#remark(`${output.to - output.from} bytes of its ${output.output} are lost`);
        continue;
      }
      if (output.kind === "pty") this.#modes.read(output.bytes);
      await (output.kind === "stderr" ? this.#stderr : this.#stdout).write(output.bytes);
      if (this.#options.isTerminal) guest.acknowledge(guest.offsets);
    }
  }

  /** Sends what is typed, in order, until the program takes no more. */
  async #type(guest: GuestProcess, input: ByteInput): Promise<void> {
    const escapes = new Escapes(this.#raw === undefined ? undefined : this.#options.escape);
    try {
      for await (const bytes of input) {
        for (const typed of escapes.read(bytes)) await this.#obey(guest, typed);
      }
      if (this.#leaving.signal.aborted) return;
      // A terminal has no end of its own: its line discipline makes one of this.
      if (this.#options.isTerminal) await guest.sendInput(EOT);
      else await guest.closeStdin();
    } catch {
      // A program that has closed its stdin or ended takes no input; its end says how it went.
      input.close();
    }
  }

  async #obey(guest: GuestProcess, typed: Typed): Promise<void> {
    switch (typed.kind) {
      case "bytes":
        return await guest.sendInput(typed.bytes);
      case "leave":
        return this.#leave(guest, 0);
      case "suspend":
        return this.#raw?.suspend();
      case "help":
        await this.#stderr.write(Buffer.from(`\n${ESCAPES_HELP}`.replaceAll("\n", "\r\n")));
    }
  }

  /** Ends a program of ours as a kernel would whose pipe has no reader. */
  async #breakPipe(guest: GuestProcess): Promise<void> {
    if (this.#options.forwardsSignals) await signalOrTerm(guest, SIGPIPE);
    guest.disconnect();
  }

  #leave(guest: GuestProcess, exitCode: number): void {
    this.#leftWith = exitCode;
    this.#leaving.abort();
    guest.disconnect();
  }

  /** Minds signals and the size of the window. Returns what ends that. */
  #listen(guest: GuestProcess): () => void {
    const onSignal = (signal: NodeJS.Signals) => {
      const number = signalNumber(signal) ?? 0;
      // A guest that cannot be reached gets no signal, and must not hold a person.
      if (this.#isCut || !this.#options.forwardsSignals) this.#leave(guest, 128 + number);
      else void signalOrTerm(guest, number);
    };
    const onResize = () => void guest.resize(windowSize()).catch(() => {});
    for (const signal of FORWARDED) process.on(signal, onSignal);
    if (this.#options.isTerminal) process.stdout.on("resize", onResize);
    return () => {
      for (const signal of FORWARDED) process.off(signal, onSignal);
      process.stdout.off("resize", onResize);
    };
  }

  #onInterrupted(): void {
    if (!this.#isOpen || this.#isCut) return;
    this.#isCut = true;
    this.#remark("the connection was cut; going on as soon as the guest answers");
  }

  #onResumed(guest: GuestProcess): void {
    this.#isCut = false;
    if (!this.#modes.isOnOtherScreen) return;
    // Our line is in the middle of somebody's picture: a window that changes is drawn anew.
    const { cols, rows } = windowSize();
    void guest
      .resize({ cols, rows: rows - 1 })
      .then(() => guest.resize({ cols, rows }))
      .catch(() => {});
  }

  #remark(text: string): void {
    const line = grey(`thaw: ${text}`, 2);
    process.stderr.write(this.#raw === undefined ? `${line}\n` : `\r${line}\r\n`);
  }
}

/** Passes a signal on. An agent of envd knows two alone; one that has ended needs none. */
async function signalOrTerm(guest: GuestProcess, number: number): Promise<void> {
  await guest
    .kill(number)
    .catch(() => guest.kill("SIGTERM"))
    .catch(() => {});
}
