import { GuestError } from "../client/index.ts";
import type { HostCall } from "./host-call.ts";
import type { HostCommand } from "./host-command.ts";
import { USER_FLAG } from "./session-flags.ts";

/** Makes directories in the guest. */
export const MKDIR: HostCommand = {
  name: "mkdir",
  operands: "[TARGET] PATH...",
  summary: "make directories in the guest, with missing parents",
  flags: [{ flags: "-p, --parents", help: "no complaint about what is there" }, USER_FLAG],
  run: mkdir,
};

async function mkdir(call: HostCall): Promise<number> {
  const [{ guest }, ...paths] = call.targetAndPaths(1);
  for (const path of paths) {
    await guest.files.makeDir(path).catch((reason: unknown) => {
      const isThere = reason instanceof GuestError && reason.kind === "already-exists";
      if (!isThere || !call.has("parents")) throw reason;
    });
  }
  return 0;
}
