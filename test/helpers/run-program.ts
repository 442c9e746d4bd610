import { spawn } from "node:child_process";
import { once } from "node:events";
import { buffer } from "node:stream/consumers";

/** How a program ended, and what it wrote. */
export interface ProgramResult {
  /** Its exit code; -1 when a signal ended it. */
  code: number;
  stdout: string;
  stderr: string;
  /** Its standard output as it was. */
  bytes: Buffer;
}

/** What a program is run with. */
export interface ProgramOptions {
  /** All of its standard input. */
  input?: string | Uint8Array;
  cwd?: string;
  /** Variables beside the test's own. */
  env?: Record<string, string>;
}

/** Runs a program to its end, while the agent in this process goes on. */
export async function runProgram(
  command: string,
  args: readonly string[],
  { input = "", cwd, env }: ProgramOptions = {},
): Promise<ProgramResult> {
  const child = spawn(command, args, { cwd, env: { ...process.env, ...env } });
  // A program need not read its input to the end.
  child.stdin.on("error", () => {});
  child.stdin.end(input);
  const [bytes, errors, [code]] = await Promise.all([
    buffer(child.stdout),
    buffer(child.stderr),
    once(child, "close") as Promise<[number | null]>,
  ]);
  return { code: code ?? -1, stdout: bytes.toString(), stderr: errors.toString(), bytes };
}
