import { constants } from "node:os";
import { AgentError } from "../errors.ts";
import { messageOf } from "../lib/error-text.ts";
import { startTimer } from "../lib/timer.ts";
import { findHolders, type Holder } from "../system/holders.ts";
import type { OomCount } from "../system/oom-watch.ts";
import { Cause, ENDING_SIGNALS } from "./cause.ts";
import { describeExit, type EndFacts, type Exit } from "./exit.ts";
import { FanOut } from "./fan-out.ts";
import type { ProcessIdentity } from "./identity.ts";
import { LogView, type ViewSource } from "./log-view.ts";
import type { Offsets } from "./offsets.ts";
import { type OutputKind, OutputReader } from "./output.ts";
import { OutputLog } from "./output-log.ts";
import { ProcessInput } from "./process-input.ts";
import { OneProcess, Scope } from "./reach.ts";
import { type Order, type Outcome, SIGKILL, signalAll } from "./signalling.ts";
import type { SubscriptionOptions } from "./subscription.ts";
import type { EndEvent, Viewer } from "./viewer.ts";

/** The most programs that are named which hold a process's outputs. */
const MOST_HOLDERS = 64;

/** The agent's ends of a process's descriptors; they belong to the process from then on. */
export interface ProcessDescriptors {
  stdin: number | undefined;
  stdout: number | undefined;
  stderr: number | undefined;
  pty: number | undefined;
}

/** What a process needs from outside. */
export interface ProcessHooks {
  /** Called once, before any viewer learns of the end. */
  onEnd: (event: EndEvent & { facts: EndFacts }) => void;
  /** How often the kernel has killed it, or one it has started, for want of memory, if known. */
  oomCount: OomCount;
}

/** A program that runs in the guest. Lives on when nobody watches. */
export class GuestProcess {
  readonly identity: ProcessIdentity;
  /** What it has written; outlives it. */
  readonly log: OutputLog;
  readonly input: ProcessInput;
  readonly #fanOut = new FanOut(() => this.#resume());
  readonly #readers: OutputReader[] = [];
  readonly #onEnd: (event: EndEvent & { facts: EndFacts }) => void;
  readonly #oomCount: OomCount;
  readonly #cause = new Cause();
  #open = 0;
  #exit: Exit | undefined;
  #hasEnded = false;
  #end: EndEvent | undefined;
  #isToldToEnd = false;
  /** Who had its outputs open when the agent closed them. */
  #holders: readonly Holder[] = [];
  #lifetime: Disposable | undefined;

  constructor(identity: ProcessIdentity, hooks: ProcessHooks) {
    this.identity = identity;
    this.log = new OutputLog(identity.log, () => {
      if (!this.#fanOut.isWaiting) this.#resume();
    });
    this.input = new ProcessInput(identity.pid);
    this.#onEnd = hooks.onEnd;
    this.#oomCount = hooks.oomCount;
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

  /** What it and all that it has started carry. */
  get mark(): string {
    return this.identity.mark;
  }

  /** Whether it has exited itself: its pid may be another's. */
  get hasExited(): boolean {
    return this.#exit !== undefined;
  }

  /** Whether it has exited itself and others hold its outputs. */
  get lingers(): boolean {
    return this.#exit !== undefined && !this.#hasEnded;
  }

  /** Follows the process from now on; one that has ended tells only that. */
  subscribe(options: SubscriptionOptions = {}): Viewer {
    const viewer = this.#fanOut.subscribe(options);
    viewer.push({ kind: "start", pid: this.pid });
    this.#tellEnd(viewer);
    return viewer;
  }

  /**
   * Follows the process from these offsets, or from now on, and learns of offsets and gaps.
   * Throws `OffsetError` for an offset that is not there yet.
   */
  view(options: Omit<ViewSource, "process" | "log" | "cursor" | "fanOut">, from?: Offsets): Viewer {
    const { log } = this;
    const cursor = from === undefined ? log.endCursor() : log.cursor(from);
    const source = { process: this.identity, log, cursor, fanOut: this.#fanOut };
    const viewer = new LogView({ ...source, ...options });
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
      this.#cause.timeOut();
      this.askToEnd("SIGKILL");
    });
  }

  /** Told by the reaper how the program ended. */
  onExit(exit: Exit): void {
    this.#exit = exit;
    this.#cause.settle(describeExit(exit.waitStatus));
    this.#settle();
  }

  /** Lets go of everything: no command was executed. */
  abandon(): void {
    this.#hasEnded = true;
    this.#oomCount[Symbol.dispose]();
    this.#lifetime?.[Symbol.dispose]();
    for (const reader of this.#readers) reader.drainAndClose();
    this.log.forget();
    this.input.destroyStdin();
    this.input.closeTerminal();
  }

  /** Sends a signal to the process itself. After TERM or KILL its pipes are not waited for. */
  signal(number: number): void {
    try {
      if (this.#exit !== undefined) return;
      process.kill(this.pid, number);
      this.#cause.add(number);
    } catch (cause) {
      throw new AgentError("internal", `error sending signal: ${messageOf(cause)}`, { cause });
    } finally {
      if (ENDING_SIGNALS.has(number)) this.#leaveOutputs();
    }
  }

  /** The same for more than the process itself, and for the time after; tells who is still there. */
  async signalAll(order: Order & { isScope: boolean }, abort: AbortSignal): Promise<Outcome> {
    const reach = order.isScope ? new Scope(this) : new OneProcess(this);
    this.#cause.add(order.signal);
    const onKill = () => this.#cause.add(SIGKILL);
    const outcome = await signalAll(reach, { ...order, onKill }, abort);
    // Not before: those that come to their end may have something left to write.
    if (this.#cause.isAskedFor) this.#leaveOutputs();
    return outcome;
  }

  /** The same for when there is nobody to tell that the agent may not signal this program. */
  askToEnd(signal: "SIGTERM" | "SIGKILL"): void {
    try {
      this.signal(constants.signals[signal]);
    } catch (reason) {
      if (!(reason instanceof AgentError)) throw reason;
    }
  }

  /** Its outputs are not waited for any longer than for itself. */
  #leaveOutputs(): void {
    this.#isToldToEnd = true;
    if (this.#exit !== undefined) this.#settle();
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
    if (this.#end !== undefined) {
      viewer.push(this.#end);
      this.#fanOut.delete(viewer);
    } else if (this.#exit !== undefined && viewer.endsAtExit) {
      this.#settle();
    }
  }

  #resume(): void {
    if (this.log.isFull) return;
    for (const reader of this.#readers) reader.resume();
  }

  /**
   * After the exit. Whoever asked the process to end does not wait for those it leaves its outputs
   * to, nor does a viewer that ends at the exit.
   */
  #settle(): void {
    if (this.#isToldToEnd || this.#fanOut.endsAtExit) {
      for (const reader of this.#readers) reader.drain();
    }
    this.#endWhenDone();
    if (this.#exit === undefined || this.#hasEnded) return;
    const isToldHolders = this.#isToldToEnd && this.#fanOut.wantsFacts;
    if (isToldHolders || this.#fanOut.endsAtExit) void this.#leaveToHolders(this.#exit);
    else if (this.#isToldToEnd) this.#closeOutputs([]);
  }

  /** Others hold the outputs: names them to those who want to know. */
  async #leaveToHolders(exit: Exit): Promise<void> {
    const names = this.#readers.filter(({ hasEnded }) => !hasEnded).map((one) => one.peerName);
    const holders = await findHolders(new Set(names), this.pid, MOST_HOLDERS);
    if (this.#hasEnded) return;
    // What it is said to have written is what a viewer has seen by then, and goes on from.
    this.#fanOut.exit({ ...this.#endEvent(exit, holders), until: this.log.endCursor() });
    if (this.#isToldToEnd) this.#closeOutputs(holders);
  }

  #closeOutputs(holders: readonly Holder[]): void {
    this.#holders = holders;
    for (const reader of this.#readers) reader.drainAndClose();
  }

  #endWhenDone(): void {
    if (this.#hasEnded || this.#open > 0 || this.#exit === undefined) return;
    this.#hasEnded = true;
    this.#lifetime?.[Symbol.dispose]();
    // A child of the program may hold the other end and never read: nobody waits for that now.
    this.input.destroyStdin();
    this.input.closeTerminal();
    const end = this.#endEvent(this.#exit, this.#holders);
    this.#oomCount[Symbol.dispose]();
    this.#end = end;
    this.#onEnd(end);
    this.#fanOut.end(end);
  }

  #endEvent(exit: Exit, holders: readonly Holder[]): EndEvent & { facts: EndFacts } {
    const { waitStatus, usage } = exit;
    const end = describeExit(waitStatus);
    const facts = {
      ...this.#cause.facts,
      oomKills: this.#oomCount.kills,
      usage,
      written: this.log.offsets,
      inputBytes: this.input.writtenBytes,
      holders,
    };
    return { kind: "end", end, facts };
  }
}
