import { appendFileSync } from "node:fs";
import type { Machine } from "./rig/machine.ts";

/** How many rounds: 30 in the long form, which `THAW_VM_ROUNDS` asks for, and few in the short one. */
export const ROUNDS = Number(process.env["THAW_VM_ROUNDS"] ?? 3);

/** The middle of `values`; of an even number, the lower one. */
export function median(values: readonly number[]): number {
  return quantile(values, 0.5);
}

/** The value that `share` of `values` do not exceed. */
export function quantile(values: readonly number[], share: number): number {
  const sorted = values.toSorted((a, b) => a - b);
  return sorted[Math.max(0, Math.ceil(sorted.length * share) - 1)] ?? Number.NaN;
}

/** Prints a table, and appends it to the file `THAW_VM_REPORT` as Markdown. */
export function report(title: string, rows: readonly (readonly (string | number)[])[]): void {
  const [head = [], ...body] = rows;
  const line = (cells: readonly (string | number)[]) => `| ${cells.join(" | ")} |`;
  const text = [
    `### ${title}`,
    "",
    line(head),
    line(head.map(() => "---")),
    ...body.map(line),
    "",
    "",
  ].join("\n");
  process.stdout.write(`\n${text}`);
  const file = process.env["THAW_VM_REPORT"];
  if (file !== undefined) appendFileSync(file, text);
}

/** What the guest's kernel has open on the agent's port: the peers' ports, by TCP state. */
export async function guestSockets(machine: Machine): Promise<{ port: number; state: string }[]> {
  const table = await machine.shell("cat /proc/net/tcp");
  return [...table.matchAll(/^ *\d+: \S+:C33F \S+:([0-9A-F]{4}) ([0-9A-F]{2}) /gm)]
    .map(([, port = "", state = ""]) => ({ port: Number.parseInt(port, 16), state }))
    .filter(({ state }) => state !== LISTEN && state !== TIME_WAIT);
}

const LISTEN = "0A";
const TIME_WAIT = "06";
