import { ByteOutput } from "./byte-output.ts";
import type { HostCall } from "./host-call.ts";
import type { HostCommand } from "./host-command.ts";
import { remarkCut } from "./paint.ts";
import { USER_FLAG } from "./session-flags.ts";

/** Shows files of the guest. */
export const CAT: HostCommand = {
  name: "cat",
  operands: "[TARGET] PATH...",
  summary: "write files of the guest to stdout",
  flags: [USER_FLAG],
  run: cat,
};

async function cat(call: HostCall): Promise<number> {
  const [{ guest }, ...paths] = call.targetAndPaths(1);
  const stdout = new ByteOutput(1);
  for (const path of paths) {
    const parts = guest.files.readParts(path, { onInterrupted: remarkCut });
    for await (const part of parts) await stdout.write(part);
  }
  return 0;
}
