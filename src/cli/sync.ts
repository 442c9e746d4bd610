import { localEnd } from "./copy/ends.ts";
import { syncTree } from "./copy/sync-tree.ts";
import type { HostCall } from "./host-call.ts";
import { Failure, type HostCommand } from "./host-command.ts";
import { USER_FLAG } from "./session-flags.ts";
import { shown } from "./shown.ts";

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
  if (from === undefined && localEnd(local).kind !== "directory") {
    throw new Failure(`${local} is no directory`);
  }
  const isWhole = await syncTree({
    guest: call.openTarget(away.target).guest,
    local,
    remote: away.path,
    direction: from === undefined ? "up" : "down",
    deletes: call.has("delete"),
    byChecksum: call.has("checksum"),
    isQuiet: call.has("quiet"),
    isDry: call.has("dryRun"),
    onChange: (deed, { path, kind }) => {
      if (call.has("quiet")) return;
      process.stdout.write(`${deed} ${shown(path)}${kind === "directory" ? "/" : ""}\n`);
    },
  });
  return isWhole ? 0 : 1;
}
