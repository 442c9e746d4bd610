import { type ChildProcess, spawn } from "node:child_process";

/** More than any helper has to say; the rest of its output is thrown away. */
const OUTPUT_LIMIT_BYTES = 64 * 1024;

/** How a helper program ended. */
export interface CommandResult {
  /** Its exit code; `undefined` when a signal ended it. */
  exitCode: number | undefined;
  /** What it wrote to stdout, cut after 64 KiB. */
  stdout: string;
  /** What it wrote to stderr, cut after 64 KiB. */
  stderr: string;
}

/** When to give up on a helper program. */
export interface CommandLimits {
  /** How long it may take, in ms. */
  timeoutMs: number;
  /** Ends the program. */
  signal?: AbortSignal | undefined;
}

/** Runs a helper program; `runCommand` is the real one. */
export type RunCommand = (
  argv: readonly [string, ...string[]],
  limits: CommandLimits,
) => Promise<CommandResult>;

/**
 * Runs a helper program of the machine, found in PATH, without input. Rejects when it cannot be
 * started (`code` is `ENOENT` when there is none) and when a limit is reached; then its whole
 * process group is killed and not waited for, as a mount can hang where no signal reaches it.
 */
export const runCommand: RunCommand = ([program, ...args], { timeoutMs, signal }) =>
  new Promise((resolve, reject) => {
    signal?.throwIfAborted();
    const child = spawn(program, args, { stdio: ["ignore", "pipe", "pipe"], detached: true });
    const stdout = collect(child.stdout);
    const stderr = collect(child.stderr);
    const giveUp = (reason: Error) => {
      finish();
      abandon(child);
      reject(reason);
    };
    const onAbort = () => giveUp(signal?.reason as Error);
    const timer = setTimeout(
      () => giveUp(new Error(`${program}: no end after ${timeoutMs} ms`)),
      timeoutMs,
    );
    const finish = () => {
      clearTimeout(timer);
      signal?.removeEventListener("abort", onAbort);
    };
    signal?.addEventListener("abort", onAbort, { once: true });
    child.once("error", giveUp);
    child.once("close", (exitCode) => {
      finish();
      resolve({ exitCode: exitCode ?? undefined, stdout: stdout(), stderr: stderr() });
    });
  });

/** Where no descriptors are left there is no stream either; the child's error tells. */
function collect(stream: NodeJS.ReadableStream | undefined): () => string {
  const chunks: Buffer[] = [];
  let left = OUTPUT_LIMIT_BYTES;
  stream?.on("data", (chunk: Buffer) => {
    if (left > 0) chunks.push(chunk.subarray(0, left));
    left -= chunk.length;
  });
  return () => Buffer.concat(chunks).toString("utf8");
}

function abandon(child: ChildProcess): void {
  child.stdout?.destroy();
  child.stderr?.destroy();
  child.unref();
  if (child.pid === undefined || child.exitCode !== null || child.signalCode !== null) return;
  try {
    process.kill(-child.pid, "SIGKILL");
  } catch {
    // It has ended in this very moment.
  }
}
