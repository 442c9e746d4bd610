import { createHash } from "node:crypto";
import { AgentError } from "../errors.ts";
import type { User } from "../system/users.ts";
import type { ProcessConfig } from "./identity.ts";
import type { LogOptions } from "./output-log.ts";
import type { PtySize } from "./pty.ts";
import { describeStart } from "./start-error.ts";

/** What `start` needs to know. */
export interface StartOptions {
  /** As it was requested; shown by `list`. */
  config: ProcessConfig;
  tag: string | undefined;
  user: User;
  /** The resolved working directory. */
  cwd: string;
  /** The whole environment. */
  environment: Readonly<Record<string, string>>;
  /** The size of the terminal; `undefined` runs the program on pipes. */
  pty: PtySize | undefined;
  /** Whether stdin is a pipe; otherwise it is /dev/null. */
  hasStdin: boolean;
  /** The life-time of the process in ms; `undefined` sets no limit. */
  lifetimeMs: number | undefined;
  /** How much of the output is kept, and what happens when that is full. */
  log: LogOptions;
  /** What its viewer learns. */
  view: ViewOptions;
  /** Makes the start safe to repeat: the same key stands for the same process. */
  key: string | undefined;
}

/** What a viewer asks for beyond envd's contract. */
export interface ViewOptions {
  /** Whether it learns of offsets and gaps. */
  withOffsets: boolean;
  /** How much may be under way unacknowledged, in bytes; 0 bounds nothing. Needs offsets. */
  windowBytes: number;
  /** Whether it is told the end when the program has exited, whoever holds its outputs. */
  endsAtExit: boolean;
  /** Whether the process never waits for it. */
  isBystander: boolean;
}

/** Programs with this tag stay in the agent's own cgroup, and so run while the guest is frozen. */
const SYSTEM_TAG = "_system";

/** The group that a program is put into; `undefined` leaves it in the agent's own. */
export function groupOf({ tag, pty }: StartOptions): "user" | "ptys" | undefined {
  if (tag === SYSTEM_TAG) return undefined;
  return pty === undefined ? "user" : "ptys";
}

/** Whom a program becomes; `undefined`: the agent is that already. Throws `AgentError`. */
export function credentialsOf(options: StartOptions, user: User): User | undefined {
  const uid = process.geteuid?.() ?? 0;
  if (uid === 0) return user;
  if (uid === user.uid) return undefined;
  const reason = `only root can start a process as '${user.name}', and the agent runs as uid ${uid}`;
  throw new AgentError("invalid", describeStart(options, reason));
}

/** A digest of what makes two starts the same: a request may be large, and is remembered. */
export function requestOf({ config, tag, pty, user, hasStdin }: StartOptions): string {
  const envs = Object.entries(config.envs).toSorted(([a], [b]) => (a < b ? -1 : 1));
  const { cmd, args, cwd } = config;
  const request = JSON.stringify([cmd, args, envs, cwd, tag, pty, user.uid, hasStdin]);
  return createHash("sha256").update(request).digest("base64");
}

/** Refuses, by throwing `AgentError`, what no program can be given. */
export function rejectNul({ config, environment, cwd }: StartOptions): void {
  const texts = [config.cmd, ...config.args, cwd, ...Object.entries(environment).flat()];
  const bad = texts.find((text) => text.includes("\0"));
  if (bad === undefined) return;
  throw new AgentError(
    "invalid",
    `${JSON.stringify(bad)} holds a NUL byte, which no command can be given`,
  );
}
