import { sleep } from "../lib/sleep.ts";
import type { Holder } from "../system/holders.ts";
import type { KillPen } from "../system/kill-pen.ts";
import { commandOf, type Program, signalProgram } from "../system/programs.ts";
import type { Reach } from "./reach.ts";
import { killRoundedUp } from "./round-up.ts";

/** The number of SIGKILL. */
export const SIGKILL = 9;
/** The most survivors that are named. */
const MOST_SURVIVORS = 256;
/** How long those killed get to be gone, in ms: the kernel may have much to clean up. */
const KILL_SETTLE_MS = 2_000;
/** How often those are looked for that were started while others were signalled. */
const ROUNDS = 4;
const LEAST_POLL_MS = 5;
const MOST_POLL_MS = 100;

/** What is to be done to all within reach. */
export interface Order {
  /** The number of the signal. */
  signal: number;
  /** Present: after so many ms SIGKILL follows to those that are left. */
  graceMs: number | undefined;
  /** Makes what those are gathered in that are killed; none: they are signalled where they are. */
  pens?: () => readonly KillPen[];
  /** Called before the first SIGKILL. */
  onKill?: () => void;
}

/** What became of it. */
export interface Outcome {
  signalled: number;
  /** Who is still there, at most 256. */
  survivors: Holder[];
}

/**
 * Signals all within reach, also those that are started meanwhile, and after a grace time kills
 * those that are left. Rejects with the reason of `abort`, and does no more then.
 */
export async function signalAll(reach: Reach, order: Order, abort: AbortSignal): Promise<Outcome> {
  const reached = new Set<string>();
  if (order.signal !== SIGKILL) {
    await strike(reach, order.signal, reached);
    if (order.graceMs === undefined) return outcomeOf(reached, await reach.members());
    await waitUntilGone(reach, order.graceMs, abort);
  }
  order.onKill?.();
  // Also when nobody was seen: they may come and go faster than they are looked for.
  const pens = order.pens?.() ?? [];
  try {
    if (pens.length === 0) await strike(reach, SIGKILL, reached);
    else await roundUp(reach, pens, reached);
    return await killRest(reach, reached, abort);
  } finally {
    await Promise.all(pens.map((pen) => pen[Symbol.asyncDispose]()));
  }
}

async function roundUp(
  reach: Reach,
  pens: readonly KillPen[],
  reached: Set<string>,
): Promise<void> {
  try {
    for (const killed of await killRoundedUp(reach, pens)) reached.add(nameOf(killed));
  } catch {
    // Somebody has removed a pen. Those who are still there are signalled where they are.
  }
}

/** Whoever is not gone is killed again: it was started by one that was about to die. */
async function killRest(reach: Reach, reached: Set<string>, abort: AbortSignal): Promise<Outcome> {
  const left = await waitUntilGone(reach, KILL_SETTLE_MS, abort, (members) => {
    for (const member of members) send(member, SIGKILL, reached);
  });
  return outcomeOf(reached, left);
}

/** Signals each once. */
async function strike(reach: Reach, signal: number, reached: Set<string>): Promise<void> {
  for (let round = 0; round < ROUNDS; round += 1) {
    const fresh = (await reach.members()).filter((member) => !reached.has(nameOf(member)));
    const sent = fresh.filter((member) => send(member, signal, reached));
    if (sent.length === 0) return;
  }
}

function send(member: Program, signal: number, reached: Set<string>): boolean {
  const isSent = signalProgram(member, signal);
  if (isSent) reached.add(nameOf(member));
  return isSent;
}

/** Who is left after `ms`; `look` sees who is there, again and again. */
async function waitUntilGone(
  reach: Reach,
  ms: number,
  abort: AbortSignal,
  look: (members: readonly Program[]) => void = () => {},
): Promise<Program[]> {
  const until = performance.now() + ms;
  for (let pollMs = LEAST_POLL_MS; ; pollMs = Math.min(pollMs * 2, MOST_POLL_MS)) {
    const members = await reach.members();
    const leftMs = until - performance.now();
    if (members.length === 0 || leftMs <= 0) return members;
    look(members);
    await sleep(Math.min(pollMs, leftMs), abort);
    abort.throwIfAborted();
  }
}

function outcomeOf(reached: ReadonlySet<string>, members: readonly Program[]): Outcome {
  const survivors = members
    .slice(0, MOST_SURVIVORS)
    .map(({ pid }) => ({ pid, command: commandOf(pid) }));
  return { signalled: reached.size, survivors };
}

/** A name that no two programs share. */
function nameOf({ pid, startedAt }: Program): string {
  return `${pid} ${startedAt}`;
}
