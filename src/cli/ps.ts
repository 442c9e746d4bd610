import type { ProcessSummary } from "../client/index.ts";
import { durationText } from "./amounts.ts";
import type { HostCall } from "./host-call.ts";
import type { HostCommand } from "./host-command.ts";
import { jsonText } from "./json-text.ts";
import { commandText, shown } from "./shown.ts";
import { table } from "./table.ts";

/** Lists the programs of the guest. */
export const PS: HostCommand = {
  name: "ps",
  operands: "[TARGET]",
  summary: "list the programs that the guest was told to run",
  flags: [
    { flags: "-a, --all", help: "also those that ended in the last 30 s" },
    { flags: "-q, --quiet", help: "pids alone" },
    { flags: "--json", help: "for programs" },
  ],
  run: ps,
};

async function ps(call: HostCall): Promise<number> {
  const [{ guest }] = call.targetAnd(0, 0);
  const all = await guest.process.list({ includeEnded: call.has("all") });
  all.sort((one, other) => one.pid - other.pid);
  process.stdout.write(
    call.has("json")
      ? jsonText(all)
      : call.has("quiet")
        ? all.map(({ pid }) => `${pid}\n`).join("")
        : processTable(all, Date.now()),
  );
  return 0;
}

/** The programs as a table; `now` in ms, by the guest's clock or nearly so. */
export function processTable(all: readonly ProcessSummary[], now: number): string {
  const rows = all.map((one) => [
    String(one.pid),
    shown(one.user ?? ""),
    one.hasTerminal ? "yes" : "-",
    String(one.viewers),
    one.startedAt === undefined ? "" : durationText(Math.max(0, now - one.startedAt.getTime())),
    one.end === undefined ? (one.lingers ? "lingers" : "running") : one.end.status,
    shown(one.tag ?? ""),
    commandText(one.command, one.args),
  ]);
  const titles = ["PID", "USER", "TTY", "VIEWERS", "AGE", "STATE", "TAG", "COMMAND"];
  return table(titles, rows, ["PID", "VIEWERS", "AGE"]);
}
