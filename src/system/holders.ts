import { fstatSync, readdirSync, readlinkSync } from "node:fs";
import { callLibc } from "./libc.ts";
import { commandOf, programs, visitInSlices } from "./programs.ts";

/** Asks a terminal's master for the number of its other side. */
const TIOCGPTN = 0x80045430;
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
  const pids = programs();
  // Numbers are given in turn, from the lowest again after the highest.
  const turn = [...pids.filter((pid) => pid > leader), ...pids.filter((pid) => pid <= leader)];
  await visitInSlices(turn, (pid) => {
    if (pid !== process.pid && holdsAny(pid, names)) found.push({ pid, command: commandOf(pid) });
    return found.length < most && performance.now() - start < MOST_MS;
  });
  return found;
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
