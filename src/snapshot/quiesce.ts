import { sleep } from "../lib/sleep.ts";
import type { Connections, Pausable, SocketCount } from "./participants.ts";

/** How long Prepare waits for sockets to be gone, in ms, and at most when asked for more. */
const SETTLE_MS = 1_000;
const LONGEST_SETTLE_MS = 2_500;
/** How often the kernel is asked in that time. */
const LOOK_MS = 5;

/** What Prepare did and what is left. */
export interface PrepareReport {
  /** What a snapshot would cut, in words. Empty: the guest is quiescent. */
  blockers: string[];
  closedHttp1: number;
  closedH2: number;
  /** Requests that are being answered, those that prepare not counted. */
  openStreams: number;
  uploads: number;
  processes: number;
  /** On the agent's port, the sockets that carry the calls not counted. */
  sockets: SocketCount[];
  elapsedMs: number;
}

/** What is brought to rest. */
export interface QuiesceParts {
  connections: Connections;
  ports: Pausable | undefined;
  /** What the kernel shows on the agent's port, listeners left out. */
  sockets(): Promise<SocketCount[]>;
  uploads(): number;
  processes(): number;
  /** Collects garbage and gives memory back. */
  compact(): Promise<void>;
}

/**
 * Brings the guest to rest. `settleMs`: how long to wait for sockets; default 1,000, at most 2,500,
 * and no longer once `signal` aborts. `callers`: how many wait for the answer, each on a connection
 * of its own.
 */
export async function quiesce(
  parts: QuiesceParts,
  {
    settleMs,
    callers,
    signal,
  }: { settleMs: number | undefined; callers: () => number; signal: AbortSignal },
): Promise<PrepareReport> {
  const start = performance.now();
  await parts.ports?.stop();
  const closed = parts.connections.quiesce();
  const deadline = start + Math.min(settleMs ?? SETTLE_MS, LONGEST_SETTLE_MS);
  await untilGone(parts, deadline, signal);
  // Before the answer, although it makes the caller wait: behind it, the machine freezes any moment.
  await parts.compact();
  const all = await parts.sockets();
  const own = callers();
  const sockets = withoutOwn(all, own);
  const openStreams = Math.max(0, openRequests(parts.connections) - own);
  const left = { openStreams, uploads: parts.uploads(), sockets };
  return {
    ...closed,
    ...left,
    blockers: blockersOf(left, Math.max(0, busy(parts.connections) - own)),
    processes: parts.processes(),
    elapsedMs: performance.now() - start,
  };
}

/** Until the kernel has no socket of ours left but those that are being answered. */
async function untilGone(
  parts: QuiesceParts,
  deadline: number,
  signal: AbortSignal,
): Promise<void> {
  while (performance.now() < deadline) {
    const lingering = countOf(await parts.sockets(), isLingering);
    if (lingering <= busy(parts.connections)) return;
    if (!(await sleep(LOOK_MS, signal))) return;
  }
}

/** Sockets that only wait for their time to pass hold nothing up and wait for nobody. */
function isLingering(state: string): boolean {
  return state !== "TIME-WAIT";
}

function busy(connections: Connections): number {
  return connections.status().filter((connection) => connection.openRequests > 0).length;
}

function openRequests(connections: Connections): number {
  return connections.status().reduce((sum, connection) => sum + connection.openRequests, 0);
}

function countOf(sockets: readonly SocketCount[], wanted: (state: string) => boolean): number {
  return sockets.reduce((sum, { state, count }) => sum + (wanted(state) ? count : 0), 0);
}

function withoutOwn(sockets: readonly SocketCount[], own: number): SocketCount[] {
  return sockets
    .map(({ state, count }) => ({ state, count: state === "ESTAB" ? count - own : count }))
    .filter(({ count }) => count > 0);
}

/** `others`: how many connections are busy with something else than Prepare. */
function blockersOf(
  left: Pick<PrepareReport, "openStreams" | "uploads" | "sockets">,
  others: number,
): string[] {
  const established = countOf(left.sockets, (state) => state === "ESTAB");
  const blockers: string[] = [];
  if (left.openStreams > 0) blockers.push(inWords(left.openStreams, "stream", "open"));
  if (left.uploads > 0) blockers.push(inWords(left.uploads, "file", "being uploaded"));
  if (established > others) {
    blockers.push(inWords(established - others, "idle connection", "open"));
  }
  for (const { state, count } of left.sockets) {
    if (state === "ESTAB" || !isLingering(state)) continue;
    blockers.push(inWords(count, "socket", `in ${state}`));
  }
  return blockers;
}

function inWords(count: number, noun: string, what: string): string {
  return count === 1 ? `1 ${noun} is ${what}` : `${count} ${noun}s are ${what}`;
}
