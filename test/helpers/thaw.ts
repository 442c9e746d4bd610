import { type ChildProcessWithoutNullStreams, spawn } from "node:child_process";
import { once } from "node:events";
import { LAUNCHER } from "./binary.ts";
import { type ProgramOptions, type ProgramResult, runProgram } from "./run-program.ts";

/** No configuration of whoever runs the tests, and no token. */
const NOBODY = { THAW_CONFIG: "/no/such/config.json", THAW_TOKEN: "" };

/** Runs the built `thaw` to its end. */
export function thaw(
  args: readonly string[],
  { env, ...options }: ProgramOptions = {},
): Promise<ProgramResult> {
  return runProgram(LAUNCHER, args, { ...options, env: { ...NOBODY, ...env } });
}

/** The built `thaw` while it runs. It is killed in the end. */
export class RunningThaw implements AsyncDisposable {
  readonly child: ChildProcessWithoutNullStreams;
  /** Its exit code, or the signal that ended it. */
  readonly exited: Promise<number | string>;
  /** All it has written so far. */
  stdout = "";
  stderr = "";

  constructor(args: readonly string[], env: Record<string, string> = {}) {
    this.child = spawn(LAUNCHER, args, { env: { ...process.env, ...NOBODY, ...env } });
    this.exited = once(this.child, "close").then(
      (ended: (number | string | null)[]) => ended[0] ?? ended[1] ?? "gone",
    );
    this.child.stdin.on("error", () => {});
    this.child.stdout.on("data", (bytes: Buffer) => (this.stdout += bytes.toString()));
    this.child.stderr.on("data", (bytes: Buffer) => (this.stderr += bytes.toString()));
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.child.kill("SIGKILL");
    await this.exited;
  }
}
