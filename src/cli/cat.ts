import { ByteOutput } from "./byte-output.ts";
import type { HostCall } from "./host-call.ts";
import type { HostCommand } from "./host-command.ts";
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
  for (const path of paths) await stdout.write(await guest.files.read(path));
  return 0;
}
