import { FileType } from "../../gen/filesystem/filesystem_pb.js";
import type { HostCall } from "./host-call.ts";
import { Failure, type HostCommand } from "./host-command.ts";
import { USER_FLAG } from "./session-flags.ts";

/** Removes paths of the guest. */
export const RM: HostCommand = {
  name: "rm",
  operands: "[TARGET] PATH...",
  summary: "remove files of the guest, with -r directories",
  flags: [
    { flags: "-r, --recursive", help: "directories with all that is in them" },
    { flags: "-f, --force", help: "no complaint about what is not there" },
    USER_FLAG,
  ],
  run: rm,
};

async function rm(call: HostCall): Promise<number> {
  const [{ guest }, ...paths] = call.targetAndPaths(1);
  for (const path of paths) {
    // The guest removes whatever is there, and takes what is not there for removed.
    const entry = await guest.files.stat(path).catch((reason: unknown) => {
      if (call.has("force") && (reason as { kind?: string }).kind === "not-found") return undefined;
      throw reason;
    });
    const isDirectory = entry?.type === FileType.DIRECTORY && entry.symlinkTarget === undefined;
    if (isDirectory && !call.has("recursive")) throw new Failure(`${path} is a directory: rm -r`);
    if (entry !== undefined) await guest.files.remove(path);
  }
  return 0;
}
