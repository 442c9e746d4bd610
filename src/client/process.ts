import { type Timestamp, timestampDate } from "@bufbuild/protobuf/wkt";
import type { Client } from "@connectrpc/connect";
import { type Process, type ProcessInfo, WhenFull } from "../../gen/process/process_pb.js";
import { asGuestError, type GuestError, type Offsets } from "./errors.ts";
import { GuestProcess } from "./guest-process.ts";
import { anySignal, withSignal } from "./patience.ts";
import { type End, fromOffsets, toEnd, toOffsets } from "./process-end.ts";
import { type OpenStream, ProcessFollow } from "./process-follow.ts";
import { randomId } from "./random-id.ts";

const KEEPALIVE_MS = 5_000;
/** A stream that has been silent for so many signs of life is cut. */
const SILENT_INTERVALS = 3;
const FIRST_CONTACT_MS = 10_000;
const LOG_BYTES = 1024 * 1024;

/** How a process is followed. */
export interface FollowProcessOptions {
  /** Leaves the process; it lives on. */
  signal?: AbortSignal;
  /** The end is told when the program itself has exited, whoever still holds its outputs. */
  endAtExit?: boolean;
  /**
   * At most so many bytes are under way that `acknowledge` was not called for. Absent: the transport's
   * own flow control.
   */
  windowBytes?: number;
  /**
   * What happens when the process's log is full: the oldest is forgotten (default), or the process
   * waits until the caller has consumed more.
   */
  whenFull?: "drop-oldest" | "wait";
  /** How much the process's log keeps, in bytes. Default 1 MiB, at most 64 MiB. */
  logBytes?: number;
  /** After how much silence the guest sends a sign of life, in ms; whole seconds. Default 5,000. */
  keepaliveMs?: number;
  /** Gives up after so long without a single answer, in ms. Default 120,000. */
  giveUpAfterMs?: number;
  /** The same before the first answer: 0 makes one attempt. Default 10,000. */
  firstContactMs?: number;
  /** Told once when its stream is cut; it is gone on with. */
  onInterrupted?: (reason: GuestError) => void;
  /** Told when it goes on. */
  onResumed?: () => void;
}

/** How a program is started. */
export interface StartOptions extends FollowProcessOptions {
  args?: readonly string[];
  env?: Readonly<Record<string, string>>;
  cwd?: string;
  /** A name to find it by later. */
  tag?: string;
  /** Whether it gets a pipe as stdin. Default false: /dev/null. */
  stdin?: boolean;
  /** Runs it in a terminal of this size. */
  pty?: { cols: number; rows: number };
  /** How much output that the log does not hold any more is kept in a file, in bytes. Default none. */
  spillBytes?: number;
  /** How long it may live, in ms; then it is killed. Default: as long as it likes. */
  lifetimeMs?: number;
}

/** How a process that runs is joined. */
export interface ConnectOptions extends FollowProcessOptions {
  /** Where to begin. Default "now"; "start" is the oldest output that the log still holds. */
  from?: "now" | "start" | Partial<Offsets>;
}

/** A process of the guest, as a list shows it. */
export interface ProcessSummary {
  pid: number;
  tag: string | undefined;
  command: string;
  args: string[];
  cwd: string | undefined;
  /** The account it runs as; "" when the guest does not tell. */
  user: string;
  /** By the guest's clock. */
  startedAt: Date | undefined;
  hasTerminal: boolean;
  written: Offsets;
  /** How many streams follow it. */
  viewers: number;
  /** Only of one that has ended. */
  end: End | undefined;
  /** It has exited itself, and others hold its outputs. */
  lingers: boolean;
}

/** The guest's programs. Knows nothing of Node: pages use it over their own transport. */
export class GuestProcesses {
  readonly #unary: Client<typeof Process>;
  readonly #streaming: Client<typeof Process>;

  /** `unary` may have a deadline, `streaming` must have none. */
  constructor(unary: Client<typeof Process>, streaming: Client<typeof Process>) {
    this.#unary = unary;
    this.#streaming = streaming;
  }

  /** Starts `command`. Resolves once it runs. Once only, also when the answer is lost. */
  async start(command: string, options: StartOptions = {}): Promise<GuestProcess> {
    const { args = [], env = {}, cwd, stdin = false, pty, tag, spillBytes } = options;
    const { whenFull, logBytes, endAtExit = false, windowBytes, lifetimeMs } = options;
    const config = { cmd: command, args: [...args], envs: { ...env } };
    const request = {
      process: cwd === undefined ? config : { ...config, cwd },
      stdin,
      withOffsets: true,
      idempotencyKey: randomId(),
      endAtExit,
      whenFull: whenFull === "wait" ? WhenFull.WAIT : WhenFull.DROP_OLDEST,
      ...(tag !== undefined && { tag }),
      ...(pty !== undefined && { pty: { size: pty } }),
      ...(logBytes !== undefined && { logBytes }),
      ...(spillBytes !== undefined && { spillBytes: BigInt(spillBytes) }),
      ...(windowBytes !== undefined && { windowBytes }),
    };
    const headers = { ...headersOf(options), ...lifetimeHeader(lifetimeMs) };
    const open: OpenStream = (signal) => this.#streaming.start(request, { signal, headers });
    return await this.#follow(options, {
      open,
      from: { stdout: 0, stderr: 0, pty: 0 },
      hasTerminal: pty !== undefined,
    });
  }

  /** Follows a program that runs already. `selector`: its pid or its tag. Throws `not-found`. */
  async connect(selector: number | string, options: ConnectOptions = {}): Promise<GuestProcess> {
    options.signal?.throwIfAborted();
    const { from = "now" } = options;
    const found = await this.#find(selector, options.signal);
    const start =
      from === "now"
        ? found?.written && toOffsets(found.written)
        : { stdout: 0, stderr: 0, pty: 0, ...(from === "start" ? {} : from) };
    const open = this.#connectTo(found?.pid ?? selector, start, options);
    return await this.#follow(options, {
      open,
      from: start,
      hasTerminal: found?.hasTerminal === true,
    });
  }

  /** The programs that run; with `includeEnded` those that ended in the last 30 s as well. */
  async list(
    options: { includeEnded?: boolean; signal?: AbortSignal | undefined } = {},
  ): Promise<ProcessSummary[]> {
    const { includeEnded = false, signal } = options;
    const call = withSignal(signal);
    const { processes } = await asGuestError(() => this.#unary.list({ includeEnded }, call));
    return processes.map(toSummary);
  }

  async #follow(
    options: FollowProcessOptions,
    how: { open: OpenStream; from: Offsets | undefined; hasTerminal: boolean },
  ): Promise<GuestProcess> {
    const { windowBytes, logBytes = LOG_BYTES, whenFull, giveUpAfterMs } = options;
    const { onInterrupted, onResumed, firstContactMs = FIRST_CONTACT_MS } = options;
    const leaving = new AbortController();
    const signal = anySignal(leaving.signal, options.signal);
    const stallMs = keepaliveSeconds(options) * SILENT_INTERVALS * 1_000;
    const reopen = (pid: number, from: Offsets) => this.#connectTo(pid, from, options);
    const hooks = { onInterrupted, onResumed, giveUpAfterMs };
    const { open, from, hasTerminal } = how;
    const follow = await ProcessFollow.begin({
      ...hooks,
      open,
      reopen,
      from,
      signal,
      stallMs,
      firstContactMs,
    });
    return new GuestProcess({
      unary: this.#unary,
      follow,
      leaving,
      signal,
      giveUpAfterMs,
      hasTerminal,
      acknowledgeBytes: whenFull === "wait" ? Math.ceil(logBytes / 4) : 0,
      hasWindow: windowBytes !== undefined,
    });
  }

  #connectTo(
    selector: number | string,
    from: Offsets | undefined,
    options: FollowProcessOptions,
  ): OpenStream {
    const { endAtExit = false, windowBytes } = options;
    const process = {
      selector:
        typeof selector === "number"
          ? ({ case: "pid", value: selector } as const)
          : ({ case: "tag", value: selector } as const),
    };
    const request = {
      process,
      endAtExit,
      withOffsets: true,
      ...(from !== undefined && { fromOffset: fromOffsets(from) }),
      ...(windowBytes !== undefined && { windowBytes }),
    };
    const headers = headersOf(options);
    return (signal) => this.#streaming.connect(request, { signal, headers });
  }

  /** What the guest tells of a process; nothing to those who may only watch. */
  async #find(
    selector: number | string,
    signal: AbortSignal | undefined,
  ): Promise<ProcessInfo | undefined> {
    try {
      const { processes } = await this.#unary.list({ includeEnded: true }, withSignal(signal));
      return processes
        .filter(({ pid, tag }) => (typeof selector === "number" ? pid : tag) === selector)
        .toSorted((one, other) => startMs(other) - startMs(one))[0];
    } catch {
      signal?.throwIfAborted();
      return undefined;
    }
  }
}

function startMs({ startedAt }: { startedAt?: Timestamp | undefined }): number {
  return startedAt === undefined ? 0 : timestampDate(startedAt).getTime();
}

function keepaliveSeconds({ keepaliveMs = KEEPALIVE_MS }: FollowProcessOptions): number {
  return Math.max(1, Math.round(keepaliveMs / 1_000));
}

function headersOf(options: FollowProcessOptions): Record<string, string> {
  return { "keepalive-ping-interval": String(keepaliveSeconds(options)) };
}

function lifetimeHeader(ms: number | undefined): Record<string, string> {
  return ms === undefined ? {} : { "connect-timeout-ms": String(Math.max(1, Math.round(ms))) };
}

function toSummary(info: ProcessInfo): ProcessSummary {
  const { pid, tag, config, user, startedAt, hasTerminal, written, viewers, end, lingers } = info;
  return {
    pid,
    tag,
    command: config?.cmd ?? "",
    args: config?.args ?? [],
    cwd: config?.cwd,
    user,
    startedAt: startedAt === undefined ? undefined : timestampDate(startedAt),
    hasTerminal,
    written: toOffsets(written),
    viewers,
    end: end === undefined ? undefined : toEnd(end),
    lingers,
  };
}
