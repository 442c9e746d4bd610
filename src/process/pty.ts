import { closeSync, constants, fchownSync, openSync } from "node:fs";
import { callLibc } from "../system/libc.ts";

const TIOCSPTLCK = 0x40045431;
const TIOCGPTPEER = 0x5441;
const TIOCSWINSZ = 0x5414;
const O_CLOEXEC = 0o2000000;

/** A terminal's size in characters. Only the low 16 bits count. */
export interface PtySize {
  cols: number;
  rows: number;
}

/** Both sides of a new terminal. `slaveFd` belongs to `uid`, so that programs may open it again. */
export function openPty(size: PtySize, uid: number): { masterFd: number; slaveFd: number } {
  const masterFd = openSync(
    "/dev/ptmx",
    constants.O_RDWR | constants.O_NOCTTY | constants.O_NONBLOCK,
  );
  try {
    callLibc("int ioctl(int fd, unsigned long request, int *value)", masterFd, TIOCSPTLCK, [0]);
    const slaveFd = callLibc(
      "int ioctl(int fd, unsigned long request, unsigned long flags)",
      masterFd,
      TIOCGPTPEER,
      constants.O_RDWR | constants.O_NOCTTY | O_CLOEXEC,
    );
    try {
      resizePty(masterFd, size);
      if (process.geteuid?.() === 0) fchownSync(slaveFd, uid, -1);
    } catch (reason) {
      closeSync(slaveFd);
      throw reason;
    }
    return { masterFd, slaveFd };
  } catch (reason) {
    closeSync(masterFd);
    throw reason;
  }
}

/** Tells the terminal, and so the programs on it, its size. */
export function resizePty(masterFd: number, size: PtySize): void {
  const size16 = new Uint16Array([size.rows, size.cols, 0, 0]);
  callLibc("int ioctl(int fd, unsigned long request, void *value)", masterFd, TIOCSWINSZ, size16);
}
