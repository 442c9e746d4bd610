import { basename } from "node:path";
import type { CopyOptions } from "../client/index.ts";
import { destinationOf, isLocalDirectory, isRemoteDirectory } from "./destination.ts";
import type { HostCall } from "./host-call.ts";
import type { HostCommand } from "./host-command.ts";
import { USER_FLAG } from "./session-flags.ts";
import type { RemotePath } from "./targets.ts";
import { transfer } from "./transfer.ts";

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
  const sources = [...call.operands, ...(call.rest ?? [])];
  const destination = sources.pop();
  if (destination === undefined || sources.length === 0) throw call.usage("two paths are wanted");
  const isInto = sources.length > 1 || destination.endsWith("/");
  const to = call.remotePath(destination);
  const copies = { call, sources, isInto };
  const isWhole = to === undefined ? await out(copies, destination) : await into(copies, to);
  return isWhole ? 0 : 1;
}

interface Copies {
  call: HostCall;
  sources: readonly string[];
  /** The destination is a directory, there or not. */
  isInto: boolean;
}

async function into({ call, sources, isInto }: Copies, to: RemotePath): Promise<boolean> {
  if (sources.some((source) => call.remotePath(source) !== undefined)) {
    throw call.usage("both are in guests");
  }
  const { guest } = call.openTarget(to.target);
  const isDirectory = isInto || (await isRemoteDirectory(guest, to.path));
  let isWhole = true;
  for (const source of sources) {
    const remote = destinationOf(source, to.path, isDirectory);
    const copy = (options: CopyOptions) => guest.files.copyIn(source, remote, options);
    isWhole = (await transfer({ call, label: basename(source), copy })) && isWhole;
  }
  return isWhole;
}

async function out({ call, sources, isInto }: Copies, destination: string): Promise<boolean> {
  const isDirectory = isInto || isLocalDirectory(destination);
  const froms = sources.map((source) => {
    const from = call.remotePath(source);
    if (from === undefined) throw call.usage("neither is in a guest: TARGET:PATH is");
    return from;
  });
  let isWhole = true;
  for (const { target, path } of froms) {
    const { guest } = call.openTarget(target);
    const local = destinationOf(path, destination, isDirectory);
    const copy = (options: CopyOptions) => guest.files.copyOut(path, local, options);
    isWhole = (await transfer({ call, label: basename(path), copy })) && isWhole;
  }
  return isWhole;
}
