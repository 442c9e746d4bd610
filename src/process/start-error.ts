import { AgentError } from "../errors.ts";
import type { ProcessConfig } from "./identity.ts";
import type { PtySize } from "./pty.ts";
import { SpawnError } from "./spawn.ts";

/** What an error about a start speaks of. */
interface Startable {
  config: ProcessConfig;
  cwd: string;
  pty: PtySize | undefined;
}

const REASONS: Record<string, string> = {
  E2BIG: "argument list too long",
  ENOENT: "no such file or directory",
  ENOTDIR: "not a directory",
  EACCES: "permission denied",
  EAGAIN: "too many processes",
  ENOMEM: "out of memory",
  EMFILE: "too many open files",
  ENFILE: "too many open files in the system",
};

/** What the caller of a start that failed for `reason` is told. */
export function startError(options: Startable, reason: unknown): AgentError {
  if (reason instanceof AgentError) return reason;
  const code = reason instanceof Error && "code" in reason ? String(reason.code) : "";
  const isCwd = reason instanceof SpawnError && reason.step === "chdir";
  if (isCwd && code === "ENOENT") {
    return new AgentError("invalid", `cwd '${options.cwd}' does not exist`, { cause: reason });
  }
  const words = REASONS[code] ?? messageOf(reason);
  const what = isCwd ? `chdir ${options.cwd}: ${words}` : words;
  return new AgentError("invalid", describeStart(options, what), { cause: reason });
}

/** That a start failed, and `what` the matter is. */
export function describeStart({ config, pty, cwd }: Startable, what: string): string {
  const command = abbreviate([config.cmd, ...config.args].join(" "));
  if (pty === undefined) return `error starting process '${command}': ${what}`;
  return `error starting pty with command '${command}' in dir '${cwd}' with '${pty.cols}' cols and '${pty.rows}' rows: ${what}`;
}

/** Long commands are cut: an error must fit where errors are shown. */
function abbreviate(text: string): string {
  return text.length <= 500 ? text : `${text.slice(0, 500)}…`;
}

function messageOf(reason: unknown): string {
  return reason instanceof Error ? reason.message : String(reason);
}
