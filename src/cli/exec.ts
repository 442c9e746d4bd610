import { VARIABLES } from "../config.ts";
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

/** Runs a program in the guest as if it ran here. */
export const EXEC: HostCommand = {
  name: "exec",
  operands: "[TARGET] -- COMMAND [ARG...]",
  summary: "run a program in the guest",
  flags: [
    { flags: "-i, --interactive", help: "our stdin is its stdin" },
    { flags: "-t, --tty", help: "in a terminal" },
    { flags: "-d, --detach", help: "print its pid and leave it" },
    ENV_FLAG,
    WORKDIR_FLAG,
    USER_FLAG,
    TAG_FLAG,
    ESCAPE_FLAG,
  ],
  notes: `Exits with the program's own code, or 128 + N when signal N ended it. SIGINT,
SIGTERM, SIGHUP and SIGQUIT are passed on. With -it keys are the program's, but
for ~. (leave it), ~^Z (suspend thaw) and ~? at the beginning of a line.`,
  endsFlags: true,
  run: exec,
};

async function exec(call: HostCall): Promise<number> {
  const { target, command, args } = readOperands(call);
  const { guest, label } = call.open(target);
  const isTerminal = call.has("tty");
  const options = {
    args,
    env: { ...(isTerminal && terminalVariables()), ...variablesOf(call) },
    stdin: call.has("interactive"),
    ...placeOf(call),
    ...(isTerminal && { pty: windowSize() }),
  };
  if (call.has("detach")) {
    const process_ = await guest.process.start(command, options);
    process.stdout.write(`${process_.pid}\n`);
    process_.disconnect();
    return 0;
  }
  return await new Session({
    open: (hooks) => guest.process.start(command, { ...options, ...hooks }),
    comeBack: (pid) => `it lives on: thaw attach ${label} ${pid}`,
    isTerminal,
    takesInput: call.has("interactive"),
    forwardsSignals: true,
    escape: escapeOf(call),
  }).run();
}

/** `TARGET -- COMMAND`, `TARGET COMMAND`, or `-- COMMAND` at the default target. */
function readOperands(call: HostCall) {
  const [first, ...others] = call.operands;
  const [command, ...args] = call.rest ?? others;
  if (command === undefined) throw call.usage("no COMMAND is given");
  if (call.rest !== undefined && others.length > 0) {
    throw call.usage(`"${others[0]}" stands between TARGET and --`);
  }
  return { target: first, command, args };
}

/** What a program needs to know of the terminal that it is shown in. */
export function terminalVariables(): Record<string, string> {
  return { TERM: VARIABLES.terminal() ?? "xterm-256color" };
}

/** The directory and the name that were asked for. */
export function placeOf(call: HostCall): { cwd?: string; tag?: string } {
  const cwd = call.text("workdir");
  const tag = call.text("tag");
  return { ...(cwd !== undefined && { cwd }), ...(tag !== undefined && { tag }) };
}
