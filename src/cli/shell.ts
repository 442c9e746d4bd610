import { placeOf, terminalVariables } from "./exec.ts";
import type { HostCall } from "./host-call.ts";
import type { HostCommand } from "./host-command.ts";
import { Session, windowSize } from "./session.ts";
import {
  ENV_FLAG,
  ESCAPE_FLAG,
  escapeOf,
  TAG_FLAG,
  USER_FLAG,
  variablesOf,
  WORKDIR_FLAG,
} from "./session-flags.ts";

/** Becomes the login shell of the user, as its account names it. */
const LOGIN_SHELL = `entry=$(getent passwd "$(id -u)" 2>/dev/null)
shell=\${entry##*:}
[ -x "$shell" ] || shell=/bin/bash
[ -x "$shell" ] || shell=/bin/sh
export SHELL="$shell"
exec "$shell" -l`;

/** Opens a shell in the guest. */
export const SHELL: HostCommand = {
  name: "shell",
  operands: "[TARGET]",
  summary: "open a login shell in the guest",
  flags: [ENV_FLAG, WORKDIR_FLAG, USER_FLAG, TAG_FLAG, ESCAPE_FLAG],
  notes: `In a terminal when this is one. At the beginning of a line ~. leaves the shell,
which lives on (thaw attach), ~^Z suspends thaw and ~? shows this.`,
  run: shell,
};

async function shell(call: HostCall): Promise<number> {
  const [{ guest, label }] = call.targetAnd(0, 0);
  const isTerminal = process.stdin.isTTY && process.stdout.isTTY;
  const options = {
    args: ["-c", LOGIN_SHELL],
    env: { ...(isTerminal && terminalVariables()), ...variablesOf(call) },
    stdin: true,
    ...placeOf(call),
    ...(isTerminal && { pty: windowSize() }),
  };
  return await new Session({
    open: (hooks) => guest.process.start("/bin/sh", { ...options, ...hooks }),
    comeBack: (pid) => `the shell lives on: thaw attach ${label} ${pid}`,
    isTerminal,
    takesInput: true,
    forwardsSignals: true,
    escape: escapeOf(call),
  }).run();
}
