import { constants } from "node:os";
import type { Guest } from "../client/index.ts";
import { sleep } from "../lib/sleep.ts";
import type { HostCall } from "./host-call.ts";
import type { HostCommand } from "./host-command.ts";
import { processTable } from "./ps.ts";
import { RawTerminal } from "./raw-terminal.ts";
import { statusText } from "./snapshot.ts";

const INTERVAL_MS = 1_000;
const OTHER_SCREEN = "\x1b[?1049h\x1b[?25l";
const OWN_SCREEN = "\x1b[?25h\x1b[?1049l";
const CTRL_C = 3;

/** Shows a guest as it changes. */
export const TOP: HostCommand = {
  name: "top",
  operands: "[TARGET]",
  summary: "watch programs, connections and the snapshot state",
  notes: "q ends it. When stdout is no terminal it prints once.",
  run: top,
};

async function top(call: HostCall): Promise<number> {
  const [{ guest, label }] = call.targetAnd(0, 0);
  if (!process.stdin.isTTY || !process.stdout.isTTY) {
    process.stdout.write(await picture(guest));
    return 0;
  }
  const leaving = new AbortController();
  let exitCode = 0;
  for (const signal of ["SIGINT", "SIGTERM", "SIGHUP"] as const) {
    process.once(signal, () => {
      exitCode = 128 + constants.signals[signal];
      leaving.abort();
    });
  }
  using _ = new RawTerminal();
  const onKeys = (keys: Buffer) => {
    if (keys.includes(CTRL_C) || keys.includes("q")) leaving.abort();
  };
  process.stdin.on("data", onKeys);
  process.stdout.write(OTHER_SCREEN);
  try {
    await draw(guest, label, leaving.signal);
    return exitCode;
  } finally {
    process.stdout.write(OWN_SCREEN);
    process.stdin.off("data", onKeys).pause();
  }
}

/** Draws anew whenever something has changed, until `signal` aborts. */
async function draw(guest: Guest, label: string, signal: AbortSignal): Promise<void> {
  let drawn = "";
  let last = "";
  let isAsked = true;
  const onResize = () => (drawn = "");
  process.stdout.on("resize", onResize);
  while (!signal.aborted) {
    const answer = await pictureOrWhy(guest, last, signal);
    if (signal.aborted) break;
    last = answer.picture;
    isAsked = answer.why === undefined;
    const head = isAsked ? label : `${label}: frozen or gone, waiting (${answer.why})`;
    const text = fitted(`${head}\n\n${last}`);
    if (text !== drawn) process.stdout.write(`\x1b[H${text}\x1b[J`);
    drawn = text;
    await sleep(INTERVAL_MS, signal);
  }
  process.stdout.off("resize", onResize);
}

async function pictureOrWhy(guest: Guest, last: string, signal: AbortSignal) {
  try {
    return { picture: await picture(guest, signal), why: undefined };
  } catch (reason) {
    return { picture: last, why: reason instanceof Error ? reason.message : String(reason) };
  }
}

async function picture(guest: Guest, signal?: AbortSignal): Promise<string> {
  const [all, status] = await Promise.all([
    guest.process.list({ signal }),
    guest.snapshot.status(signal),
  ]);
  all.sort((one, other) => one.pid - other.pid);
  return `${processTable(all, Date.now())}\n${statusText(status)}`;
}

/** What fits on the screen, each line to its end. */
function fitted(text: string): string {
  const { columns, rows } = process.stdout;
  return text
    .split("\n")
    .slice(0, rows)
    .map((line) => `${line.slice(0, columns)}\x1b[K`)
    .join("\r\n");
}
