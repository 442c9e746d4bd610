import { toDurationMs } from "./flag-values.ts";
import type { HostCall } from "./host-call.ts";
import type { HostCommand } from "./host-command.ts";
import { jsonText } from "./json-text.ts";
import { shown } from "./shown.ts";
import { signalNumber } from "./signal-names.ts";

/** Signals programs of the guest. */
export const KILL: HostCommand = {
  name: "kill",
  operands: "[TARGET] PID|TAG...",
  summary: "send programs a signal",
  flags: [
    { flags: "-s, --signal <SIG>", help: "by name or number (TERM)" },
    { flags: "--scope", help: "also all that each has started" },
    { flags: "--grace <TIME>", help: "KILL what is left after this, as in 5s" },
    { flags: "--json", help: "for programs" },
  ],
  notes: "Exits with 1 when something is left after the grace time.",
  run: kill,
};

async function kill(call: HostCall): Promise<number> {
  const [{ guest }, ...programs] = call.targetAndPrograms();
  const name = call.text("signal") ?? "TERM";
  const signal = signalNumber(name);
  if (signal === undefined) throw call.usage(`--signal: "${name}" is no signal`);
  const grace = call.text("grace");
  const options = {
    scope: call.has("scope"),
    ...(grace !== undefined && { graceMs: toDurationMs("grace", grace) }),
  };
  const reports = await Promise.all(
    programs.map(async (program) => {
      using joined = await guest.process.connect(program);
      return await joined.kill(signal, options);
    }),
  );
  const survivors = reports.flatMap((report) => report.survivors);
  if (call.has("json")) process.stdout.write(jsonText({ survivors }));
  else {
    for (const { pid, command } of survivors) {
      process.stderr.write(`thaw: ${pid} is still there: ${shown(command)}\n`);
    }
  }
  return grace !== undefined && survivors.length > 0 ? 1 : 0;
}
