import type { GuestProcess, Offsets } from "../client/index.ts";
import { ByteOutput } from "./byte-output.ts";
import { findProcess } from "./find-process.ts";
import type { HostCall } from "./host-call.ts";
import type { HostCommand } from "./host-command.ts";
import { remark, remarkCut } from "./paint.ts";

/** Shows what a program wrote. */
export const LOGS: HostCommand = {
  name: "logs",
  operands: "[TARGET] PID|TAG",
  summary: "show what a program wrote, as far as the guest still has it",
  flags: [{ flags: "-f, --follow", help: "go on with what it writes, until it ends" }],
  notes: "A program that has ended is known for 30 s longer.",
  run: logs,
};

async function logs(call: HostCall): Promise<number> {
  const [{ guest }, selector = ""] = call.targetAndPrograms(1);
  const { written } = await findProcess(guest, selector);
  const leaving = new AbortController();
  const leave = () => leaving.abort();
  process.once("SIGINT", leave).once("SIGTERM", leave);
  const joined = await guest.process.connect(selector, {
    from: "start",
    signal: leaving.signal,
    onInterrupted: remarkCut,
  });
  try {
    await print(joined, call.has("follow") ? undefined : written);
    return 0;
  } catch (reason) {
    if (leaving.signal.aborted) return 0;
    throw reason;
  } finally {
    joined.disconnect();
  }
}

/** Prints until the end, or up to what was written when we came. */
async function print(joined: GuestProcess, until: Offsets | undefined): Promise<void> {
  const stdout = new ByteOutput(1);
  const stderr = new ByteOutput(2);
  if (until !== undefined && isThere(joined.offsets, until)) return;
  for await (const output of joined) {
    if (output.kind === "gap") {
      remark(`${output.to - output.from} bytes of its ${output.output} are forgotten`);
    } else await (output.kind === "stderr" ? stderr : stdout).write(output.bytes);
    if (until !== undefined && isThere(joined.offsets, until)) return;
  }
}

function isThere(at: Offsets, until: Offsets): boolean {
  return at.stdout >= until.stdout && at.stderr >= until.stderr && at.pty >= until.pty;
}
