import { create } from "@bufbuild/protobuf";
import { timestampFromDate } from "@bufbuild/protobuf/wkt";
import { type ProcessInfo, ProcessInfoSchema } from "../../gen/process/process_pb.js";
import type { GuestProcess } from "../process/guest-process.ts";
import type { ProcessIdentity } from "../process/identity.ts";
import type { EndedProcess } from "../process/retention.ts";
import { toEndEvent, toOutputOffsets } from "./process-events.ts";

/** What List says of a live process. */
export function toProcessInfo({ identity, log, viewers, lingers }: GuestProcess): ProcessInfo {
  const written = toOutputOffsets(log.offsets);
  return create(ProcessInfoSchema, { ...describe(identity), written, viewers, lingers });
}

/** What List says of one that has ended. */
export function toEndedInfo({ end, facts, output, ...identity }: EndedProcess): ProcessInfo {
  const written = toOutputOffsets(output.offsets);
  return create(ProcessInfoSchema, { ...describe(identity), written, end: toEndEvent(end, facts) });
}

function describe(identity: ProcessIdentity) {
  const { pid, tag, user, hasTerminal, startedAt } = identity;
  const { cmd, args, envs, cwd } = identity.config;
  const config = { cmd, args: [...args], envs: { ...envs } };
  return {
    pid,
    config: cwd === undefined ? config : { ...config, cwd },
    ...(tag === undefined ? {} : { tag }),
    user,
    hasTerminal,
    startedAt: timestampFromDate(startedAt),
  };
}
