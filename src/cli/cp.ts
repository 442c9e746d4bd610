import { basename } from "node:path";
import type { Guest } from "../client/index.ts";
import { destinationOf, localEnd, remoteEnd } from "./copy/ends.ts";
import { fetchFile } from "./copy/fetch-tree.ts";
import { Persistence } from "./copy/persistence.ts";
import { Progress } from "./copy/progress.ts";
import { sendFile } from "./copy/send-file.ts";
import { syncTree } from "./copy/sync-tree.ts";
import type { HostCall } from "./host-call.ts";
import { Failure, type HostCommand } from "./host-command.ts";
import { USER_FLAG } from "./session-flags.ts";

/** Copies files and directories both ways. */
export const CP: HostCommand = {
  name: "cp",
  operands: "SOURCE... TARGET:PATH | TARGET:PATH... DESTINATION",
  summary: "copy files and directories into a guest, or out of it",
  flags: [
    { flags: "-q, --quiet", help: "no progress bar" },
    { flags: "-r, --recursive", help: "taken for habit's sake: directories are copied whole" },
    { flags: "--checksum", help: "compare files by content, not by size and time" },
    USER_FLAG,
  ],
  notes: `A copy that was cut or killed goes on where it was when it is run again; in
directories, files that are there with the same size, time and mode are left
alone. Times and modes are kept, and every transfer is checked by its SHA-256.`,
  run: cp,
};

async function cp(call: HostCall): Promise<number> {
  const words = [...call.operands, ...(call.rest ?? [])];
  const destination = words.pop();
  if (destination === undefined || words.length === 0) throw call.usage("two paths are wanted");
  const to = call.remotePath(destination);
  const isInto = words.length > 1 || destination.endsWith("/");
  let isWhole = true;
  if (to !== undefined) {
    const { guest } = call.openTarget(to.target);
    const into = isInto || (await remoteEnd(guest, to.path)).kind === "directory";
    for (const source of words) {
      if (call.remotePath(source) !== undefined) throw call.usage("both are in guests");
      await send(call, guest, source, destinationOf(source, to.path, into));
    }
  } else {
    const into = isInto || localEnd(destination).kind === "directory";
    for (const source of words) {
      const from = call.remotePath(source);
      if (from === undefined) throw call.usage("neither is in a guest: TARGET:PATH is");
      const { guest } = call.openTarget(from.target);
      const local = destinationOf(from.path, destination, into);
      isWhole = (await fetch(call, guest, from.path, local)) && isWhole;
    }
  }
  return isWhole ? 0 : 1;
}

async function send(call: HostCall, guest: Guest, local: string, remote: string): Promise<void> {
  const { kind, size } = localEnd(local);
  if (kind === "directory") {
    await syncTree({ guest, local, remote, direction: "up", ...optionsOf(call) });
  } else if (kind === "file") {
    using progress = new Progress(basename(local), size, call.has("quiet"));
    await sendFile({ guest, local, remote, progress, persistence: new Persistence() });
  } else throw new Failure(`${local}: ${kind === "missing" ? "no such file" : "no file"}`);
}

async function fetch(
  call: HostCall,
  guest: Guest,
  remote: string,
  local: string,
): Promise<boolean> {
  const end = await remoteEnd(guest, remote);
  if (end.kind === "directory") {
    return await syncTree({ guest, local, remote, direction: "down", ...optionsOf(call) });
  }
  if (end.kind !== "file") {
    throw new Failure(`${remote}: ${end.kind === "missing" ? "no such file" : "no file"}`);
  }
  using progress = new Progress(basename(remote), end.size, call.has("quiet"));
  const persistence = new Persistence();
  await fetchFile({ guest, remote, local, progress, persistence, entry: end });
  return true;
}

function optionsOf(call: HostCall) {
  return {
    deletes: false,
    byChecksum: call.has("checksum"),
    isQuiet: call.has("quiet"),
    isDry: false,
    onChange: () => {},
  };
}
