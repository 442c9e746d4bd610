import {
  type ConnectRequest,
  type OutputOffsets,
  type ProcessSelector,
  type PTY,
  type StartRequest,
  WhenFull,
} from "../../gen/process/process_pb.js";
import { AgentError } from "../errors.ts";
import { resolvePath } from "../filesystem/paths.ts";
import type { Caller } from "../init/caller.ts";
import type { Settings } from "../init/settings.ts";
import type { Selector } from "../process/identity.ts";
import type { Offsets } from "../process/offsets.ts";
import {
  DEFAULT_LOG_BYTES,
  LEAST_LOG_BYTES,
  type LogOptions,
  MOST_LOG_BYTES,
} from "../process/output-log.ts";
import type { PtySize } from "../process/pty.ts";
import type { ProcessRegistry } from "../process/registry.ts";
import type { ViewOptions } from "../process/start-options.ts";
import type { ViewGrant } from "../process/view-tokens.ts";
import type { Viewer } from "../process/viewer.ts";
import type { User } from "../system/users.ts";
import { checkGrant } from "./view-grant.ts";

/** The longest idempotency key. */
const MOST_KEY_CHARACTERS = 256;
/** The most output of a process that is kept in a file. */
const MOST_SPILL_BYTES = 16n * 1024n ** 3n;

/** What the process service speaks for. */
export interface ProcessParts {
  processes: ProcessRegistry;
  settings: Settings;
  /** The PATH that programs begin with: the agent's own. */
  searchPath: string;
  /** Where output is kept that is not held in memory. */
  spillDirectory: string;
}

/**
 * Starts what `request` asks for. `timeoutMs` is the caller's deadline and so the life-time of
 * the process; absent and what is not above 0 set none.
 */
export async function followStart(
  parts: ProcessParts,
  request: StartRequest,
  caller: Caller,
  timeoutMs: number | undefined,
): Promise<Viewer> {
  const config = request.process;
  if (config === undefined) throw new AgentError("invalid", "process: no command is given");
  const user = caller.user();
  const { viewer } = await parts.processes.start({
    config: { cmd: config.cmd, args: config.args, envs: config.envs, cwd: config.cwd },
    tag: request.tag,
    user,
    cwd: resolvePath(config.cwd ?? "", user, caller.workdir) || user.home,
    environment: { ...environmentOf(parts, user), ...config.envs },
    pty: request.pty === undefined ? undefined : toPtySize(request.pty),
    hasStdin: request.stdin ?? true,
    lifetimeMs: timeoutMs !== undefined && timeoutMs > 0 ? timeoutMs : undefined,
    log: toLogOptions(request, parts.spillDirectory),
    view: toViewOptions(request),
    key: toKey(request.idempotencyKey),
  });
  return viewer;
}

/** Follows the process that `request` names, live or just ended. */
export function followConnect(
  parts: ProcessParts,
  request: ConnectRequest,
  grant: ViewGrant | undefined,
): Viewer {
  const selector = toSelector(request.process);
  checkGrant(grant, selector);
  const from = request.fromOffset === undefined ? undefined : toOffsets(request.fromOffset);
  const view = toViewOptions(request);
  if (from !== undefined) view.withOffsets = true;
  if (grant !== undefined) view.isBystander = true;
  return parts.processes.follow(selector, view, from);
}

function toViewOptions(request: StartRequest | ConnectRequest): ViewOptions {
  const { withOffsets, windowBytes, endAtExit } = request;
  return {
    withOffsets: withOffsets || windowBytes > 0,
    windowBytes,
    endsAtExit: endAtExit,
    isBystander: false,
  };
}

/** Reads a place in every output; absent means the beginning. */
export function toOffsets(offsets: OutputOffsets | undefined): Offsets {
  const { stdout = 0n, stderr = 0n, pty = 0n } = offsets ?? {};
  return { stdout: Number(stdout), stderr: Number(stderr), pty: Number(pty) };
}

function toKey(key: string): string | undefined {
  if (key.length > MOST_KEY_CHARACTERS) {
    const message = `idempotency_key: ${key.length} characters are more than ${MOST_KEY_CHARACTERS}`;
    throw new AgentError("invalid", message);
  }
  return key === "" ? undefined : key;
}

function toLogOptions(request: StartRequest, directory: string): LogOptions {
  const { logBytes, whenFull, spillBytes } = request;
  const bytes = logBytes ?? DEFAULT_LOG_BYTES;
  if (bytes > MOST_LOG_BYTES) {
    const message = `log_bytes: ${bytes} is more than the ${MOST_LOG_BYTES} bytes a log can hold`;
    throw new AgentError("invalid", message);
  }
  if (spillBytes > MOST_SPILL_BYTES) {
    const message = `spill_bytes: ${spillBytes} is more than the ${MOST_SPILL_BYTES} bytes a file may hold`;
    throw new AgentError("invalid", message);
  }
  const spill = { directory, capacityBytes: Math.max(Number(spillBytes), LEAST_LOG_BYTES) };
  return {
    ...(spillBytes > 0n ? { spill } : {}),
    capacityBytes: Math.max(bytes, LEAST_LOG_BYTES),
    whenFull: whenFull === WhenFull.WAIT ? "wait" : "drop-oldest",
  };
}

/** Reads a selector. Throws `unimplemented` when it names nothing. */
export function toSelector(selector: ProcessSelector | undefined): Selector {
  switch (selector?.selector.case) {
    case "pid":
      return { pid: selector.selector.value };
    case "tag":
      return { tag: selector.selector.value };
    default:
      throw new AgentError(
        "unimplemented",
        "invalid input type <nil>: select a process by pid or tag",
      );
  }
}

/** Reads a terminal's size; absent numbers are 0. */
export function toPtySize(pty: PTY): PtySize {
  return { cols: (pty.size?.cols ?? 0) & 0xffff, rows: (pty.size?.rows ?? 0) & 0xffff };
}

function environmentOf({ settings, searchPath }: ProcessParts, user: User): Record<string, string> {
  return {
    PATH: searchPath,
    HOME: user.home,
    USER: user.name,
    LOGNAME: user.name,
    ...settings.variables(),
  };
}
