import { fstatSync, readdirSync, readFileSync, readlinkSync } from "node:fs";
import { callLibc } from "./libc.ts";

/** Asks a terminal's master for the number of its other side. */
const TIOCGPTN = 0x80045430;
const COMMAND_CHARACTERS = 256;
/** How long others wait for their turn while programs are looked at, in ms. */
const SLICE_MS = 2;
/** How long is looked at most, in ms. */
const MOST_MS = 30;

/** A program that has something open. */
export interface Holder {
  pid: number;
  /** Its command line, cut to 256 characters. */
  command: string;
}

/** What /proc calls the open file of a pipe that is open here. */
export function pipeName(fd: number): string {
  return `pipe:[${fstatSync(fd).ino}]`;
}

/** What /proc calls the other side of a terminal whose master is open here. */
export function terminalName(masterFd: number): string {
  const number = new Int32Array(1);
  callLibc(
    "int ioctl(int fd, unsigned long request, _Out_ int *value)",
    masterFd,
    TIOCGPTN,
    number,
  );
  return `/dev/pts/${number[0]}`;
}

/**
 * The programs but this one that have any of the files open which /proc calls so, at most `most`.
 * Those that were started after `leader` come first. Takes at most 30 ms and lets others go on
 * meanwhile; who was not looked at by then is left out.
 */
export async function findHolders(
  names: ReadonlySet<string>,
  leader: number,
  most: number,
): Promise<Holder[]> {
  const found: Holder[] = [];
  const start = performance.now();
  let slice = start;
  const pids = programs();
  // Numbers are given in turn, from the lowest again after the highest.
  const turn = [...pids.filter((pid) => pid > leader), ...pids.filter((pid) => pid <= leader)];
  for (const pid of turn) {
    if (pid !== process.pid && holdsAny(pid, names)) found.push({ pid, command: commandOf(pid) });
    const now = performance.now();
    if (found.length >= most || now - start > MOST_MS) break;
    if (now - slice < SLICE_MS) continue;
    await new Promise(setImmediate);
    slice = performance.now();
  }
  return found;
}

/** The pids of all programs, the lowest first. */
export function programs(): number[] {
  return readdirSync("/proc")
    .map(Number)
    .filter((pid) => pid > 0)
    .toSorted((a, b) => a - b);
}

/** The command line of `pid`, cut to 256 characters; its name when it has none, "" once it is gone. */
export function commandOf(pid: number): string {
  try {
    const line = readFileSync(`/proc/${pid}/cmdline`, "utf8").replace(/\0+$/, "");
    const text = line === "" ? readFileSync(`/proc/${pid}/comm`, "utf8").trim() : line;
    return text.replaceAll("\0", " ").slice(0, COMMAND_CHARACTERS);
  } catch {
    return "";
  }
}

function holdsAny(pid: number, names: ReadonlySet<string>): boolean {
  const directory = `/proc/${pid}/fd`;
  try {
    return readdirSync(directory).some((fd) => names.has(linkOf(`${directory}/${fd}`)));
  } catch {
    // It is gone, or not ours to look at.
    return false;
  }
}

function linkOf(path: string): string {
  try {
    return readlinkSync(path);
  } catch {
    return "";
  }
}
