import { closeSync } from "node:fs";
import type { Socket } from "node:net";
import { AgentError } from "../errors.ts";
import { startTimer } from "../lib/timer.ts";
import { openDescriptor } from "../system/descriptors.ts";
import { describeExit, type ProcessEnd } from "./exit.ts";
import { FanOut, type Viewer } from "./fan-out.ts";
import { Input } from "./input.ts";
import { LogView } from "./log-view.ts";
import { type OutputKind, OutputReader } from "./output.ts";
import { type LogOptions, type Offsets, OutputLog } from "./output-log.ts";
import { type PtySize, resizePty } from "./pty.ts";

/** What a program is asked to be, kept as it was requested. */
export interface ProcessConfig {
  cmd: string;
  args: readonly string[];
  envs: Readonly<Record<string, string>>;
  cwd: string | undefined;
}

/** The agent's ends of a process's descriptors; they belong to the process from then on. */
export interface ProcessDescriptors {
  stdin: number | undefined;
  stdout: number | undefined;
  stderr: number | undefined;
  pty: number | undefined;
}

/** Who a process is from its beginning. */
export interface ProcessIdentity {
  pid: number;
  config: ProcessConfig;
  tag: string | undefined;
  log: LogOptions;
}

/** A program that runs in the guest. Lives on when nobody watches. */
export class GuestProcess {
  readonly pid: number;
  readonly config: ProcessConfig;
  readonly tag: string | undefined;
  /** What it has written; outlives it. */
  readonly log: OutputLog;
  readonly #fanOut = new FanOut(() => this.#resume());
  readonly #readers: OutputReader[] = [];
  readonly #onEnd: (end: ProcessEnd) => void;
  #stdin: Input | undefined;
  #terminal: { masterFd: number | undefined; input: Input } | undefined;
  #open = 0;
  #waitStatus: number | undefined;
  #hasEnded = false;
  #end: ProcessEnd | undefined;
  #isToldToEnd = false;
  #lifetime: Disposable | undefined;

  /** `onEnd` is called once, before any viewer learns of the end. */
  constructor(identity: ProcessIdentity, onEnd: (end: ProcessEnd) => void) {
    this.pid = identity.pid;
    this.config = identity.config;
    this.tag = identity.tag;
    this.log = new OutputLog(identity.log);
    this.#onEnd = onEnd;
  }

  /** Follows the process from now on; one that has ended tells only that. */
  subscribe(): Viewer {
    const viewer = this.#fanOut.subscribe();
    viewer.push({ kind: "start", pid: this.pid });
    this.#tellEnd(viewer);
    return viewer;
  }

  /**
   * Follows the process from these offsets, or from now on, and learns of offsets and gaps.
   * Throws `OffsetError` for an offset that is not there yet.
   */
  view(from?: Offsets): Viewer {
    const cursor = from === undefined ? this.log.endCursor() : this.log.cursor(from);
    const viewer = new LogView(this.pid, { log: this.log, cursor, fanOut: this.#fanOut });
    this.#fanOut.add(viewer);
    this.#tellEnd(viewer);
    return viewer;
  }

  /** Lets a process go on that waits because its log is full. Throws `OffsetError` as `view`. */
  acknowledge(offsets: Offsets): void {
    this.log.acknowledge(offsets);
    if (!this.#fanOut.isWaiting) this.#resume();
  }

  /** Begins to read and write. Called once, right after the program was started. */
  attach(fds: ProcessDescriptors): void {
    if (fds.stdin !== undefined) this.#stdin = new Input(quiet(openDescriptor(fds.stdin)));
    if (fds.stdout !== undefined) this.#read("stdout", fds.stdout);
    if (fds.stderr !== undefined) this.#read("stderr", fds.stderr);
    if (fds.pty === undefined) return;
    const { socket } = this.#read("pty", fds.pty);
    this.#terminal = { masterFd: fds.pty, input: new Input(socket) };
  }

  /**
   * Ends the process after `ms`, whoever watches then: `viewer` ends with `deadline` first and
   * never sees the end event, other viewers do. A program that has left its pipes to others is
   * not waited for any longer.
   */
  limitLifetime(ms: number, viewer: Viewer): void {
    this.#lifetime = startTimer(ms, () => {
      viewer.fail(
        new AgentError("deadline", `the process was killed: its time of ${ms} ms is over`),
      );
      this.askToEnd("SIGKILL");
    });
  }

  /** Told by the reaper how the program ended. */
  onExit(waitStatus: number): void {
    this.#waitStatus = waitStatus;
    // Whoever asked the process to end does not wait for those it leaves its pipes to.
    if (this.#isToldToEnd) for (const reader of this.#readers) reader.drainAndClose();
    this.#endWhenDone();
  }

  /** Lets go of everything: no command was executed. */
  abandon(): void {
    this.#hasEnded = true;
    this.#lifetime?.[Symbol.dispose]();
    for (const reader of this.#readers) reader.drainAndClose();
    this.#stdin?.destroy();
    this.#closeTerminal();
  }

  /** Sends a signal to the process itself. After TERM or KILL its pipes are not waited for. */
  signal(signal: "SIGTERM" | "SIGKILL"): void {
    this.#isToldToEnd = true;
    try {
      if (this.#waitStatus === undefined) process.kill(this.pid, signal);
    } catch (cause) {
      throw new AgentError("internal", `error sending signal: ${messageOf(cause)}`, { cause });
    }
    if (this.#waitStatus !== undefined) this.onExit(this.#waitStatus);
  }

  /** The same for when there is nobody to tell that the agent may not signal this program. */
  askToEnd(signal: "SIGTERM" | "SIGKILL"): void {
    try {
      this.signal(signal);
    } catch (reason) {
      if (!(reason instanceof AgentError)) throw reason;
    }
  }

  /**
   * Writes to stdin; resolves when the machine has taken it. With an offset, with the offset that
   * comes next; throws `OffsetError` for one that would leave a hole.
   */
  async writeStdin(
    bytes: Uint8Array,
    signal: AbortSignal,
    offset?: number,
  ): Promise<number | undefined> {
    if (this.#terminal !== undefined) {
      throw new AgentError(
        "internal",
        "error writing to stdin: tty assigned to process — input should be written to the pty, not the stdin",
      );
    }
    // What is repeated may have been written before stdin was closed.
    const isClosed = this.#stdin?.isClosed === true && offset === undefined;
    if (this.#stdin === undefined || isClosed) {
      throw new AgentError("internal", "error writing to stdin: stdin not enabled or closed");
    }
    return await this.#write(this.#stdin, "stdin", signal, { bytes, offset });
  }

  /** Writes to the terminal, as `writeStdin` does to stdin. */
  async writePty(
    bytes: Uint8Array,
    signal: AbortSignal,
    offset?: number,
  ): Promise<number | undefined> {
    if (this.#terminal === undefined) {
      throw new AgentError(
        "internal",
        "error writing to tty: tty not assigned to process — input should be written to the stdin, not the tty",
      );
    }
    return await this.#write(this.#terminal.input, "tty", signal, { bytes, offset });
  }

  /** Gives the process end of file. Again, or without a stdin, it does nothing. */
  closeStdin(): void {
    if (this.#terminal !== undefined) {
      throw new AgentError(
        "unknown",
        "error closing stdin: cannot close stdin for PTY process — send Ctrl+D (0x04) instead",
      );
    }
    this.#stdin?.close();
  }

  /** Changes the terminal's size. A terminal that has ended is left alone. */
  resize(size: PtySize): void {
    if (this.#terminal === undefined) {
      throw new AgentError("internal", "error resizing tty: tty not assigned to process");
    }
    const { masterFd } = this.#terminal;
    if (masterFd !== undefined) resizePty(masterFd, size);
  }

  #read(kind: OutputKind, fd: number): OutputReader {
    this.#open += 1;
    const reader = new OutputReader(kind, fd, {
      onOutput: (output) => {
        this.log.append(kind, output.bytes);
        return this.#fanOut.publish(output) && !this.log.isFull;
      },
      onEnd: () => {
        this.#open -= 1;
        this.#endWhenDone();
      },
    });
    this.#readers.push(reader);
    return reader;
  }

  #tellEnd(viewer: Viewer): void {
    if (this.#end === undefined) return;
    viewer.push({ kind: "end", end: this.#end });
    this.#fanOut.delete(viewer);
  }

  #resume(): void {
    if (this.log.isFull) return;
    for (const reader of this.#readers) reader.resume();
  }

  async #write(
    input: Input,
    what: string,
    signal: AbortSignal,
    { bytes, offset }: { bytes: Uint8Array; offset: number | undefined },
  ): Promise<number | undefined> {
    try {
      if (offset !== undefined) return await input.writeAt(offset, bytes, signal);
      await input.write(bytes, signal);
      return undefined;
    } catch (cause) {
      if (cause instanceof AgentError || signal.aborted) throw cause;
      const message = `error writing to ${what}: error writing to ${what} of process '${this.pid}': ${messageOf(cause)}`;
      throw new AgentError("internal", message, { cause });
    }
  }

  /**
   * Not before the program has been reaped: one that closes its outputs before it exits would be
   * killed by the hang-up.
   */
  #closeTerminal(): void {
    const { masterFd } = this.#terminal ?? {};
    if (this.#terminal === undefined || masterFd === undefined) return;
    this.#terminal.masterFd = undefined;
    closeSync(masterFd);
  }

  #endWhenDone(): void {
    if (this.#hasEnded || this.#open > 0 || this.#waitStatus === undefined) return;
    this.#hasEnded = true;
    this.#lifetime?.[Symbol.dispose]();
    // A child of the program may hold the other end and never read: nobody waits for that now.
    this.#stdin?.destroy();
    this.#closeTerminal();
    const end = describeExit(this.#waitStatus);
    this.#end = end;
    this.#onEnd(end);
    this.#fanOut.end(end);
  }
}

/** A socket whose errors reach those who write; between writes there is nobody to tell. */
function quiet(socket: Socket): Socket {
  return socket.on("error", () => {});
}

function messageOf(reason: unknown): string {
  return reason instanceof Error ? reason.message : String(reason);
}
