import type { End } from "../client/index.ts";
import { remark } from "./paint.ts";
import { signalNumber } from "./signal-names.ts";

const SIGKILL = 9;

/** How envd calls a signal that ended a program, where it is not called after its name. */
const ENVD_NAMES: Readonly<Record<string, string>> = {
  killed: "KILL",
  terminated: "TERM",
  interrupt: "INT",
  hangup: "HUP",
  quit: "QUIT",
  aborted: "ABRT",
  "segmentation fault": "SEGV",
  "broken pipe": "PIPE",
};

/** What a shell would say of how a program ended: its own code, or 128 and its signal. */
export function exitCodeOf(end: End): number {
  const signal = end.signal ?? signalOf(end.status);
  if (signal === undefined) return end.exitCode < 0 ? 1 : end.exitCode;
  if (signal === SIGKILL && !end.killedByAgent && (end.oomKills ?? 0) > 0) {
    remark("the guest's kernel killed it for want of memory");
  }
  return 128 + signal;
}

/** Reads `signal: killed`, of an agent that gives no number. */
function signalOf(status: string): number | undefined {
  const [, name] = /^signal: ([a-z ]+)/.exec(status) ?? [];
  return name === undefined ? undefined : signalNumber(ENVD_NAMES[name] ?? name);
}
