import { GuestError } from "./errors.ts";

/** Linux's signals by their numbers, from 1; the same on x64 and arm64. */
const NAMES = (
  "HUP INT QUIT ILL TRAP ABRT BUS FPE KILL USR1 SEGV USR2 PIPE ALRM TERM STKFLT CHLD CONT STOP " +
  "TSTP TTIN TTOU URG XCPU XFSZ VTALRM PROF WINCH IO PWR SYS"
).split(" ");
const MOST = 64;

/** The number of a signal: `15`, `"SIGTERM"`, `"TERM"`, `"term"` or `"15"`. Throws `invalid`. */
export function signalNumber(signal: string | number): number {
  const name = String(signal).toUpperCase().replace(/^SIG/, "");
  const number = /^\d+$/.test(name) ? Number(name) : NAMES.indexOf(name) + 1;
  if (number >= 1 && number <= MOST) return number;
  throw new GuestError("invalid", `${signal} is no signal: give a name like SIGTERM, or 1 to 64`);
}
