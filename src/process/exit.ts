import type { Holder } from "../system/holders.ts";
import type { Offsets } from "./offsets.ts";
import type { ResourceUsage } from "./resource-usage.ts";

/** How a process ended, in the words of the envd contract. */
export interface ProcessEnd {
  /** The program's own code, or -1 when a signal ended it. */
  exitCode: number;
  /** Whether the program exited by itself. */
  hasExited: boolean;
  /** `exit status N`, or `signal: name`. */
  status: string;
  /** `status` once more when it is not success. */
  error: string | undefined;
  /** The number of the signal that ended it. */
  signal: number | undefined;
  /** Whether it left a core. */
  hasCore: boolean;
}

/** What else is known of an end, for those who ask. */
export interface EndFacts {
  /** Its life-time was over. */
  isTimedOut: boolean;
  /** The signal that ended it was sent by the agent. */
  isKilledByAgent: boolean;
  /** How often the kernel killed it, or one it had started, for want of memory, if that is known. */
  oomKills: number | undefined;
  usage: ResourceUsage;
  /** How much it wrote to each output. */
  written: Offsets;
  /** How much input it was given. */
  inputBytes: number;
  /** Who has its outputs open. */
  holders: readonly Holder[];
}

/** How a program ended, as the kernel tells it. */
export interface Exit {
  /** The status of wait(2). */
  waitStatus: number;
  usage: ResourceUsage;
}

/** What Go's runtime calls the signals of Linux, by number; clients show these words. */
const SIGNAL_NAMES = [
  "signal 0",
  "hangup",
  "interrupt",
  "quit",
  "illegal instruction",
  "trace/breakpoint trap",
  "aborted",
  "bus error",
  "floating point exception",
  "killed",
  "user defined signal 1",
  "segmentation fault",
  "user defined signal 2",
  "broken pipe",
  "alarm clock",
  "terminated",
  "stack fault",
  "child exited",
  "continued",
  "stopped (signal)",
  "stopped",
  "stopped (tty input)",
  "stopped (tty output)",
  "urgent I/O condition",
  "CPU time limit exceeded",
  "file size limit exceeded",
  "virtual timer expired",
  "profiling timer expired",
  "window changed",
  "I/O possible",
  "power failure",
  "bad system call",
];

/** Reads a status of wait(2). */
export function describeExit(waitStatus: number): ProcessEnd {
  const signal = waitStatus & 0x7f;
  if (signal === 0) {
    const exitCode = (waitStatus >> 8) & 0xff;
    const status = `exit status ${exitCode}`;
    const error = exitCode === 0 ? undefined : status;
    return { exitCode, hasExited: true, status, error, signal: undefined, hasCore: false };
  }
  const hasCore = (waitStatus & 0x80) !== 0;
  const core = hasCore ? " (core dumped)" : "";
  const status = `signal: ${SIGNAL_NAMES[signal] ?? `signal ${signal}`}${core}`;
  return { exitCode: -1, hasExited: false, status, error: status, signal, hasCore };
}
