import { create } from "@bufbuild/protobuf";
import { StartRequestSchema } from "../../gen/process/process_pb.js";
import type { Caller } from "../init/caller.ts";
import { followStart, type ProcessParts } from "./process-follow.ts";

/** What the host finds the initial command by. */
const TAG = "init-cmd";

/**
 * Starts `command` in a login shell as the default user, as if a host had asked for it, and leaves
 * it running. Rejects with `AgentError` when it cannot be started.
 */
export async function startInitialCommand(
  parts: ProcessParts,
  caller: Caller,
  command: string,
): Promise<void> {
  const process = { cmd: "/bin/bash", args: ["-l", "-c", command] };
  const request = create(StartRequestSchema, { process, tag: TAG, stdin: false });
  const viewer = await followStart(parts, request, caller, undefined);
  viewer.close();
}
