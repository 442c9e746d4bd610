import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";

/** How long a child may take to end after SIGTERM, in ms. */
const GRACE_MS = 5_000;

/** A program that was started for measuring and has said its first line. */
export interface Helper extends AsyncDisposable {
  pid: number;
  /** The line that answered `pattern`: the first group of it. */
  answer: string;
  /** Sends a signal, to nobody if it has ended. */
  kill(signal: NodeJS.Signals): void;
}

/** What is started. */
export interface Program {
  command: string;
  args: readonly string[];
  /** What the line on stdout looks like that says it is ready; its first group is the answer. */
  ready: RegExp;
}

/** Starts `program` and waits until it says that it is ready. Disposing ends it. */
export async function startHelper(program: Program): Promise<Helper> {
  const child = spawn(program.command, program.args, {
    stdio: ["ignore", "pipe", "pipe"],
  });
  try {
    const answer = await firstAnswer(child, program);
    child.stdout.resume();
    child.stderr.resume();
    return {
      pid: child.pid as number,
      answer,
      kill: (signal) => child.kill(signal),
      [Symbol.asyncDispose]: () => end(child),
    };
  } catch (reason) {
    await end(child);
    throw reason;
  }
}

/** Starts a program of this folder with the Node that runs the benchmark. */
export function startScript(name: string, args: readonly string[], ready: RegExp): Promise<Helper> {
  const file = fileURLToPath(new URL(name, import.meta.url));
  return startHelper({ command: process.execPath, args: [file, ...args], ready });
}

async function firstAnswer(child: ChildProcess, program: Program): Promise<string> {
  const complaints: Buffer[] = [];
  child.stderr?.on("data", (bytes: Buffer) => complaints.push(bytes));
  const failure = new Promise<never>((_, reject) => {
    child.once("error", reject);
    child.once("exit", (code, signal) => {
      const words = Buffer.concat(complaints).toString().slice(-2_000);
      reject(new Error(`${program.command} ended early (${code ?? signal}): ${words}`));
    });
  });
  const answer = (async () => {
    const lines = createInterface({ input: child.stdout as NodeJS.ReadableStream });
    for await (const line of lines) {
      const match = program.ready.exec(line);
      if (match !== null) return match[1] ?? line;
    }
    return await failure;
  })();
  return await Promise.race([answer, failure]);
}

async function end(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null || child.pid === undefined) return;
  const gone = once(child, "exit");
  child.kill("SIGTERM");
  const insist = setTimeout(() => child.kill("SIGKILL"), GRACE_MS);
  await gone;
  clearTimeout(insist);
}
