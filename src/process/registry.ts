import { AgentError } from "../errors.ts";
import type { KillPen } from "../system/kill-pen.ts";
import { newMark } from "../system/mark.ts";
import type { OomWatch } from "../system/oom-watch.ts";
import type { EndFacts, Exit, ProcessEnd } from "./exit.ts";
import { GuestProcess, type ProcessDescriptors } from "./guest-process.ts";
import type { Selector } from "./identity.ts";
import { noOffsets, type Offsets } from "./offsets.ts";
import { Scope } from "./reach.ts";
import { Reaper } from "./reaper.ts";
import { type EndedProcess, endedView, Retention } from "./retention.ts";
import { type Order, type Outcome, signalAll } from "./signalling.ts";
import { type Spawned, Spawner } from "./spawn.ts";
import { startError } from "./start-error.ts";
import { StartKeys } from "./start-keys.ts";
import {
  credentialsOf,
  groupOf,
  rejectNul,
  requestOf,
  type StartOptions,
  type ViewOptions,
} from "./start-options.ts";
import { closeAll, openStdio, type Stdio } from "./stdio.ts";
import { ViewTokens } from "./view-tokens.ts";
import { ViewWindows, type WindowWatch } from "./view-window.ts";
import type { Viewer } from "./viewer.ts";

/** What the registry is made with. */
export interface RegistryOptions {
  /** The path of the thaw-spawn binary. */
  spawnHelper: string;
  /** The cgroup.procs file that processes of this kind enter; `undefined` when there is none. */
  cgroupProcs: (kind: "user" | "ptys") => string | undefined;
  /** Finds out whom the kernel kills for want of memory. Closed with the registry. */
  oomWatch: OomWatch;
  /** Makes what those are gathered in that are killed with their scope. */
  killPens: () => readonly KillPen[];
  /** The soft limit of open files for programs; `undefined` leaves the agent's own. */
  softFileLimit?: number | undefined;
  /** Finds out that a viewer keeps its window closed for the stall time. */
  windowWatch: WindowWatch;
}

/** Every process the agent has started, live or just ended. */
export class ProcessRegistry {
  readonly #spawner: Spawner;
  readonly #cgroupProcs: RegistryOptions["cgroupProcs"];
  readonly #oomWatch: OomWatch;
  readonly #killPens: RegistryOptions["killPens"];
  readonly #reaper = new Reaper();
  readonly #retention = new Retention();
  /** Not by pid: the pid of a program that left its pipes to others is free for a new one. */
  readonly #live = new Set<GuestProcess>();
  readonly #starting = new Set<GuestProcess>();
  readonly #keys = new StartKeys<GuestProcess>();
  readonly #windows: ViewWindows;
  /** The tokens that show a process and nothing else. */
  readonly viewTokens = new ViewTokens(({ pid, mark }) => {
    const found = this.#find({ pid }) ?? this.#retention.find({ pid });
    return found?.mark === mark;
  });
  #isClosed = false;
  #onEmpty: () => void = () => {};

  constructor(options: RegistryOptions) {
    this.#spawner = new Spawner(options.spawnHelper, options.softFileLimit);
    this.#cgroupProcs = options.cgroupProcs;
    this.#oomWatch = options.oomWatch;
    this.#killPens = options.killPens;
    this.#windows = new ViewWindows(options.windowWatch);
  }

  /** Every live process, oldest first. */
  list(): GuestProcess[] {
    return [...this.#live];
  }

  /** Those that have ended in the retention time, oldest first. */
  ended(): EndedProcess[] {
    return this.#retention.list();
  }

  /** The live process; a tag that several share names the newest. Throws `not-found`. */
  get(selector: Selector): GuestProcess {
    const found = this.#find(selector);
    if (found === undefined) throw notFound(selector);
    return found;
  }

  /**
   * Follows the live process, or tells how it ended if that was not long ago; from `from`, if
   * given, instead of from now on. Throws `not-found`, and `OffsetError` as `view`.
   */
  follow(selector: Selector, options: ViewOptions, from?: Offsets): Viewer {
    const found = this.#find(selector) ?? this.#retention.find(selector);
    if (found === undefined) throw notFound(selector);
    if (found instanceof GuestProcess) return this.#view(found, options, from);
    return endedView(found, { ...options, windows: this.#windows }, from);
  }

  /**
   * Says that all output before `offsets` is safe; with `viewerId` only, that this viewer has shown
   * it. Throws `not-found`, and `OffsetError` as `view`.
   */
  acknowledge(selector: Selector, offsets: Offsets, viewerId?: number): void {
    if (viewerId === undefined) this.get(selector).acknowledge(offsets);
    else this.#windows.find(selector, viewerId).acknowledge(offsets);
  }

  /**
   * Signals a process and, if asked, all that it has started; that also for the retention time.
   * Throws `not-found`; rejects with the reason of `abort`, and does no more then.
   */
  async signalAll(
    selector: Selector,
    asked: Order & { isScope: boolean },
    abort: AbortSignal,
  ): Promise<Outcome> {
    const order = asked.isScope ? { ...asked, pens: this.#killPens } : asked;
    const live = this.#find(selector);
    if (live !== undefined) return await live.signalAll(order, abort);
    const ended = this.#retention.find(selector);
    if (ended === undefined || !order.isScope) throw notFound(selector);
    return await signalAll(new Scope({ ...ended, hasExited: true }), order, abort);
  }

  /**
   * Runs a program and follows it from its first byte. Resolves once it has been executed; a
   * command that does not exist starts and ends with 127, as in a shell. With a key that was used
   * before it follows the process that was started then.
   */
  async start(options: StartOptions): Promise<{ process: GuestProcess; viewer: Viewer }> {
    const { key } = options;
    if (key === undefined) return await this.#start(options);
    const request = requestOf(options);
    const earlier = this.#keys.find(key, request);
    if (earlier !== undefined) {
      const process = await earlier;
      return { process, viewer: this.#view(process, options.view, noOffsets()) };
    }
    const started = this.#start(options);
    this.#keys.add(
      key,
      request,
      started.then(({ process }) => process),
    );
    return await started;
  }

  async #start(options: StartOptions): Promise<{ process: GuestProcess; viewer: Viewer }> {
    if (this.#isClosed) throw new AgentError("unavailable", "the agent is shutting down");
    rejectNul(options);
    this.#oomWatch.open();
    const mark = newMark();
    const { spawned, fds } = this.#spawn(options, mark);
    const { config, tag, lifetimeMs, log, key } = options;
    const identity = { pid: spawned.pid, config, tag, log, mark, user: options.user.name };
    const hasTerminal = options.pty !== undefined;
    const startedAt = new Date();
    const onEnd = ({ end, facts }: { end: ProcessEnd; facts: EndFacts }) => {
      this.#live.delete(process);
      this.#retention.add({ ...process.identity, end, facts, output: process.log });
      if (key !== undefined) this.#keys.forgetLater(key);
      this.#tellWhenEmpty();
    };
    const oomCount = this.#oomWatch.watch(identity);
    const process = new GuestProcess({ ...identity, hasTerminal, startedAt }, { onEnd, oomCount });
    const viewer = this.#view(process, options.view, noOffsets());
    const exited = new Promise<Exit>((resolve) => this.#reaper.watch(spawned.pid, resolve));
    process.attach(fds);
    // In a frozen cgroup, what comes before the command takes as long as the frost.
    if (lifetimeMs !== undefined) process.limitLifetime(lifetimeMs, viewer);
    this.#starting.add(process);
    try {
      await spawned.executed;
    } catch (reason) {
      viewer.close();
      process.abandon();
      await exited;
      this.#starting.delete(process);
      this.#tellWhenEmpty();
      throw startError(options, reason);
    }
    this.#retention.replace(spawned.pid, tag);
    this.#starting.delete(process);
    this.#live.add(process);
    void exited.then((exit) => process.onExit(exit));
    return { process, viewer };
  }

  /** Ends what still runs: TERM first, KILL after `graceMs`. Resolves when all of it is gone. */
  async close(graceMs: number): Promise<void> {
    this.#isClosed = true;
    if (this.#live.size + this.#starting.size > 0) {
      const empty = new Promise<void>((resolve) => {
        this.#onEmpty = resolve;
      });
      this.#signalAll("SIGTERM");
      const kill = setTimeout(() => this.#signalAll("SIGKILL"), graceMs);
      await empty;
      clearTimeout(kill);
    }
    this.#keys[Symbol.dispose]();
    this.#retention[Symbol.dispose]();
    this.#reaper[Symbol.dispose]();
    this.#oomWatch.close();
  }

  #view(process: GuestProcess, options: ViewOptions, from: Offsets | undefined): Viewer {
    if (!options.withOffsets) return process.subscribe(options);
    return process.view({ ...options, windows: this.#windows }, from);
  }

  #signalAll(signal: "SIGTERM" | "SIGKILL"): void {
    for (const process of [...this.#starting, ...this.#live]) process.askToEnd(signal);
  }

  #tellWhenEmpty(): void {
    if (this.#live.size + this.#starting.size === 0) this.#onEmpty();
  }

  #find(selector: Selector): GuestProcess | undefined {
    return this.list().findLast((process) =>
      "pid" in selector ? process.pid === selector.pid : process.tag === selector.tag,
    );
  }

  #openStdio(options: StartOptions): Stdio {
    try {
      return openStdio({ ...options, uid: options.user.uid });
    } catch (reason) {
      throw startError(options, reason);
    }
  }

  #spawn(options: StartOptions, mark: string): { spawned: Spawned; fds: ProcessDescriptors } {
    const { pty, user, config } = options;
    const group = groupOf(options);
    const stdio = this.#openStdio(options);
    try {
      const spawned = this.#spawner.spawn({
        argv: [config.cmd, ...config.args],
        environment: Object.entries(options.environment).map(([name, value]) => `${name}=${value}`),
        cwd: options.cwd,
        stdio: stdio.child,
        hasTerminal: pty !== undefined,
        credentials: credentialsOf(options, user),
        cgroupProcs: group === undefined ? undefined : this.#cgroupProcs(group),
        mark,
      });
      return { spawned, fds: stdio.agent };
    } catch (reason) {
      closeAll(Object.values(stdio.agent));
      throw startError(options, reason);
    } finally {
      closeAll(stdio.child);
    }
  }
}

function notFound(selector: Selector): AgentError {
  const what = "pid" in selector ? `pid ${selector.pid}` : `tag ${selector.tag}`;
  return new AgentError("not-found", `process with ${what} not found`);
}
