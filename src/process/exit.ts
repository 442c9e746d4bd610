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
    return { exitCode, hasExited: true, status, error: exitCode === 0 ? undefined : status };
  }
  const core = (waitStatus & 0x80) === 0 ? "" : " (core dumped)";
  const status = `signal: ${SIGNAL_NAMES[signal] ?? `signal ${signal}`}${core}`;
  return { exitCode: -1, hasExited: false, status, error: status };
}
