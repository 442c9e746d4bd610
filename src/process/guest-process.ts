import { AgentError } from "../errors.ts";
import { messageOf } from "../lib/error-text.ts";
import { startTimer } from "../lib/timer.ts";
import { describeExit, type ProcessEnd } from "./exit.ts";
import { FanOut, type Viewer } from "./fan-out.ts";
import { LogView, type ViewSource } from "./log-view.ts";
import { type OutputKind, OutputReader } from "./output.ts";
import { type LogOptions, type Offsets, OutputLog } from "./output-log.ts";
import { ProcessInput } from "./process-input.ts";

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
  /** The name of the account it runs as. */
  user: string;
  hasTerminal: boolean;
  /** By the guest's clock. */
  startedAt: Date;
}

/** A program that runs in the guest. Lives on when nobody watches. */
export class GuestProcess {
  readonly identity: ProcessIdentity;
  /** What it has written; outlives it. */
  readonly log: OutputLog;
  readonly input: ProcessInput;
  readonly #fanOut = new FanOut(() => this.#resume());
  readonly #readers: OutputReader[] = [];
  readonly #onEnd: (end: ProcessEnd) => void;
  #open = 0;
  #waitStatus: number | undefined;
  #hasEnded = false;
  #end: ProcessEnd | undefined;
  #isToldToEnd = false;
  #lifetime: Disposable | undefined;

  /** `onEnd` is called once, before any viewer learns of the end. */
  constructor(identity: ProcessIdentity, onEnd: (end: ProcessEnd) => void) {
    this.identity = identity;
    this.log = new OutputLog(identity.log);
    this.input = new ProcessInput(identity.pid);
    this.#onEnd = onEnd;
  }

  /** As the kernel numbers it. */
  get pid(): number {
    return this.identity.pid;
  }

  /** A name to select it by. */
  get tag(): string | undefined {
    return this.identity.tag;
  }

  /** How many follow it. */
  get viewers(): number {
    return this.#fanOut.size;
  }

  /** Whether it has exited itself and others hold its outputs. */
  get lingers(): boolean {
    return this.#waitStatus !== undefined && !this.#hasEnded;
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
  view(window: Pick<ViewSource, "windowBytes" | "windows">, from?: Offsets): Viewer {
    const { log } = this;
    const cursor = from === undefined ? log.endCursor() : log.cursor(from);
    const source = { process: this.identity, log, cursor, fanOut: this.#fanOut };
    const viewer = new LogView({ ...source, ...window });
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
    if (fds.stdin !== undefined) this.input.attachStdin(fds.stdin);
    if (fds.stdout !== undefined) this.#read("stdout", fds.stdout);
    if (fds.stderr !== undefined) this.#read("stderr", fds.stderr);
    if (fds.pty === undefined) return;
    const { socket } = this.#read("pty", fds.pty);
    this.input.attachTerminal(fds.pty, socket);
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
    this.input.destroyStdin();
    this.input.closeTerminal();
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

  #endWhenDone(): void {
    if (this.#hasEnded || this.#open > 0 || this.#waitStatus === undefined) return;
    this.#hasEnded = true;
    this.#lifetime?.[Symbol.dispose]();
    // A child of the program may hold the other end and never read: nobody waits for that now.
    this.input.destroyStdin();
    this.input.closeTerminal();
    const end = describeExit(this.#waitStatus);
    this.#end = end;
    this.#onEnd(end);
    this.#fanOut.end(end);
  }
}
