import { closeSync } from "node:fs";
import { AgentError } from "../errors.ts";
import { messageOf } from "../lib/error-text.ts";
import { openPipe } from "../system/descriptors.ts";
import type { ProcessDescriptors } from "./guest-process.ts";
import { openPty, type PtySize } from "./pty.ts";
import { openNull } from "./spawn.ts";

/** The descriptors of a new program, on both sides. */
export interface Stdio {
  /** What becomes its 0, 1 and 2. To be closed once it runs. */
  child: readonly [number, number, number];
  agent: ProcessDescriptors;
}

/** What a program is to be connected to. */
export interface StdioOptions {
  /** The size of the terminal; `undefined` runs the program on pipes. */
  pty: PtySize | undefined;
  /** Whether stdin is a pipe; otherwise it is /dev/null. */
  hasStdin: boolean;
  /** Whose the terminal is. */
  uid: number;
}

/** Opens what a program is connected to. Throws what was thrown for a terminal, else `AgentError`. */
export function openStdio(options: StdioOptions): Stdio {
  const none = { stdin: undefined, stdout: undefined, stderr: undefined, pty: undefined };
  if (options.pty !== undefined) {
    const { masterFd, slaveFd } = openPty(options.pty, options.uid);
    return { child: [slaveFd, slaveFd, slaveFd], agent: { ...none, pty: masterFd } };
  }
  const opened: number[] = [];
  const open = <Fds extends object>(name: string, make: () => Fds): Fds => {
    try {
      const fds = make();
      opened.push(...(Object.values(fds) as number[]));
      return fds;
    } catch (cause) {
      closeAll(opened);
      throw new AgentError("internal", `error creating ${name} pipe: ${messageOf(cause)}`, {
        cause,
      });
    }
  };
  const stdout = open("stdout", openPipe);
  const stderr = open("stderr", openPipe);
  const stdin = options.hasStdin
    ? open("stdin", openPipe)
    : { ...open("stdin", () => ({ readFd: openNull() })), writeFd: undefined };
  return {
    child: [stdin.readFd, stdout.writeFd, stderr.writeFd],
    agent: { ...none, stdin: stdin.writeFd, stdout: stdout.readFd, stderr: stderr.readFd },
  };
}

/** Closes every descriptor once. */
export function closeAll(fds: readonly (number | undefined)[]): void {
  for (const fd of new Set(fds)) if (fd !== undefined) closeSync(fd);
}
