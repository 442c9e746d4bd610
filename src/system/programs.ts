import { closeSync, readdirSync, readFileSync } from "node:fs";
import { nextTurn } from "../lib/turns.ts";
import { libcFunction } from "./libc.ts";

const COMMAND_CHARACTERS = 256;
/** How long others wait for their turn while programs are looked at, in ms. */
const SLICE_MS = 2;
/** Numbers of the system calls, the same on every 64-bit machine. */
const PIDFD_SEND_SIGNAL = 424;
const PIDFD_OPEN = 434;

/** A program that runs, as the kernel describes it. */
export interface Program {
  pid: number;
  parent: number;
  /** The pid of the leader of its process group. */
  group: number;
  /** The pid of the leader of its session. */
  session: number;
  /** When it was started, in ticks since boot: with the pid, no two programs have the same. */
  startedAt: number;
  /** Whether it has ended and waits to be buried. */
  isZombie: boolean;
}

/** The pids of all programs, the lowest first. */
export function programs(): number[] {
  return readdirSync("/proc")
    .map(Number)
    .filter((pid) => pid > 0)
    .toSorted((a, b) => a - b);
}

/** Calls `visit` for each of `pids` until it returns `false`, and lets others go on meanwhile. */
export async function visitInSlices(
  pids: readonly number[],
  visit: (pid: number) => boolean,
): Promise<void> {
  let slice = performance.now();
  for (const pid of pids) {
    if (!visit(pid)) return;
    if (performance.now() - slice < SLICE_MS) continue;
    await nextTurn();
    slice = performance.now();
  }
}

/** Describes `pid`; `undefined` when there is no such program. */
export function readProgram(pid: number): Program | undefined {
  const text = readOf(pid, "stat");
  // The name is in parentheses and may hold any.
  const fields = text.slice(text.lastIndexOf(")") + 2).split(" ");
  if (fields.length < 20) return undefined;
  const [state, parent, group, session] = fields;
  return {
    pid,
    parent: Number(parent),
    group: Number(group),
    session: Number(session),
    startedAt: Number(fields[19]),
    isZombie: state === "Z" || state === "X",
  };
}

/** The command line of `pid`, cut to 256 characters; its name when it has none, "" once it is gone. */
export function commandOf(pid: number): string {
  const line = readOf(pid, "cmdline").replace(/\0+$/, "");
  const text = line === "" ? readOf(pid, "comm").trim() : line;
  return text.replaceAll("\0", " ").slice(0, COMMAND_CHARACTERS);
}

/** A file of /proc about `pid`; "" when there is none, or it is not ours to read. */
export function readOf(pid: number, name: string): string {
  try {
    return readFileSync(`/proc/${pid}/${name}`, "utf8");
  } catch {
    return "";
  }
}

/**
 * Sends a signal to `program` and never to another that has got its pid since. Returns whether it
 * was sent: not to one that is gone, or that is not ours to signal.
 */
export function signalProgram({ pid, startedAt }: Program, signal: number): boolean {
  const call = libcFunction(
    "int64_t syscall(int64_t number, int64_t a, int64_t b, void *c, int64_t d)",
  );
  const fd = Number(call(PIDFD_OPEN, pid, 0, null, 0));
  if (fd < 0) return false;
  try {
    // From here on the descriptor stands for one program, and this is whether it is that one.
    if (readProgram(pid)?.startedAt !== startedAt) return false;
    return Number(call(PIDFD_SEND_SIGNAL, fd, signal, null, 0)) === 0;
  } finally {
    closeSync(fd);
  }
}
