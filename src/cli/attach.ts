import { findProcess } from "./find-process.ts";
import type { HostCall } from "./host-call.ts";
import type { HostCommand } from "./host-command.ts";
import { Session, windowSize } from "./session.ts";
import { ESCAPE_FLAG, escapeOf } from "./session-flags.ts";

/** Goes on with a program that runs already. */
export const ATTACH: HostCommand = {
  name: "attach",
  operands: "[TARGET] PID|TAG",
  summary: "go on with a program that runs: its output so far, then live",
  flags: [
    { flags: "--live", help: "without its output so far" },
    { flags: "--no-stdin", help: "only watch" },
    ESCAPE_FLAG,
  ],
  notes: `Leave it, and it lives on: with ~. at the beginning of a line where it has a
terminal, else with Ctrl-C. Exits with the program's code once it has ended.`,
  run: attach,
};

async function attach(call: HostCall): Promise<number> {
  const [{ guest, label }, selector = ""] = call.targetAndPrograms(1);
  const found = await findProcess(guest, selector);
  const isTerminal = found.hasTerminal;
  const from = call.has("live") ? "now" : "start";
  return await new Session({
    open: async (hooks) => {
      const joined = await guest.process.connect(selector, { from, ...hooks });
      if (isTerminal && process.stdout.isTTY) await joined.resize(windowSize()).catch(() => {});
      return joined;
    },
    comeBack: (pid) => `it lives on: thaw attach ${label} ${pid}`,
    isTerminal,
    takesInput: call.has("stdin"),
    forwardsSignals: false,
    escape: escapeOf(call),
  }).run();
}
