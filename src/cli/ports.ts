import type { HostCall } from "./host-call.ts";
import type { HostCommand } from "./host-command.ts";
import { jsonText } from "./json-text.ts";
import { shown } from "./shown.ts";
import { table } from "./table.ts";

/** Lists what listens in the guest. */
export const PORTS: HostCommand = {
  name: "ports",
  operands: "[TARGET]",
  summary: "list what listens on TCP in the guest",
  flags: [{ flags: "--json", help: "for programs" }],
  run: ports,
};

async function ports(call: HostCall): Promise<number> {
  const [{ guest }] = call.targetAnd(0, 0);
  const listeners = await guest.ports.list();
  const rows = listeners.map(({ address, port, pid, command, forwardedAt }) => [
    address,
    String(port),
    pid === 0 ? "" : String(pid),
    forwardedAt,
    shown(command),
  ]);
  const titles = ["ADDRESS", "PORT", "PID", "FORWARDED", "COMMAND"];
  process.stdout.write(
    call.has("json") ? jsonText(listeners) : table(titles, rows, ["PORT", "PID"]),
  );
  return 0;
}
