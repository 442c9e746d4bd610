import { basename } from "node:path";
import type { CopyPlan } from "../client/index.ts";
import { isLocalDirectory, isRemoteDirectory } from "./destination.ts";
import type { HostCall } from "./host-call.ts";
import { Failure, type HostCommand } from "./host-command.ts";
import { remark } from "./paint.ts";
import { USER_FLAG } from "./session-flags.ts";
import { shown } from "./shown.ts";
import { transfer } from "./transfer.ts";

/** Makes one directory as another is. */
export const SYNC: HostCommand = {
  name: "sync",
  operands: "DIRECTORY TARGET:PATH | TARGET:PATH DIRECTORY",
  summary: "make a directory as another is, sending only what changed",
  flags: [
    { flags: "--delete", help: "remove what is not in the source" },
    { flags: "-n, --dry-run", help: "only tell what would be done" },
    { flags: "--checksum", help: "compare files by content, not by size and time" },
    { flags: "-q, --quiet", help: "no progress bar, no list" },
    USER_FLAG,
  ],
  notes: 'Prints "+ PATH" for what is sent and "- PATH" for what is removed.',
  run: sync,
};

async function sync(call: HostCall): Promise<number> {
  const [first = "", second = "", ...others] = [...call.operands, ...(call.rest ?? [])];
  if (second === "" || others.length > 0) throw call.usage("two directories are wanted");
  const [from, to] = [call.remotePath(first), call.remotePath(second)];
  const away = from ?? to;
  if (away === undefined || (from !== undefined && to !== undefined)) {
    throw call.usage("one directory must be TARGET:PATH, and the other here");
  }
  const local = from === undefined ? first : second;
  if (from === undefined && !isLocalDirectory(local)) throw new Failure(`${local} is no directory`);
  const { guest } = call.openTarget(away.target);
  if (from !== undefined && !(await isRemoteDirectory(guest, from.path))) {
    throw new Failure(`${from.path} is no directory`);
  }
  const isWhole = await transfer({
    call,
    label: basename(local),
    onPlan: (plan) => {
      if (!call.has("quiet")) tell(plan);
      const isKept = call.has("delete") && plan.unseen.length > 0;
      if (isKept) remark("not all could be looked at: nothing is removed");
    },
    copy: (shared) => {
      const options = { ...shared, deletes: call.has("delete"), isDry: call.has("dryRun") };
      return from === undefined
        ? guest.files.copyIn(local, away.path, options)
        : guest.files.copyOut(away.path, local, options);
    },
  });
  return isWhole ? 0 : 1;
}

function tell({ removals, directories, files, links }: CopyPlan): void {
  const changed = [...directories, ...files, ...links];
  const sorted = changed.toSorted((one, other) => (one.path < other.path ? -1 : 1));
  for (const entry of removals) process.stdout.write(`- ${nameOf(entry)}\n`);
  for (const entry of sorted) process.stdout.write(`+ ${nameOf(entry)}\n`);
}

function nameOf({ path, kind }: CopyPlan["files"][number]): string {
  return `${shown(path)}${kind === "directory" ? "/" : ""}`;
}
