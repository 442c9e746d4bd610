import type { HostCall } from "./host-call.ts";
import type { HostCommand } from "./host-command.ts";
import { USER_FLAG } from "./session-flags.ts";

/** Renames a path of the guest. */
export const MV: HostCommand = {
  name: "mv",
  operands: "[TARGET] FROM TO",
  summary: "rename a file or a directory of the guest",
  flags: [USER_FLAG],
  run: mv,
};

async function mv(call: HostCall): Promise<number> {
  const [{ guest }, from = "", to = ""] = call.targetAndPaths(2, 2);
  await guest.files.move(from, to);
  return 0;
}
