import { type EntryInfo, FileType } from "../../gen/filesystem/filesystem_pb.js";
import { bytesText } from "./amounts.ts";
import type { HostCall } from "./host-call.ts";
import type { HostCommand } from "./host-command.ts";
import { jsonText } from "./json-text.ts";
import { USER_FLAG } from "./session-flags.ts";
import { shown } from "./shown.ts";
import { table } from "./table.ts";

/** Lists a directory of the guest. */
export const LS: HostCommand = {
  name: "ls",
  operands: "[TARGET] [PATH]",
  summary: "list a directory of the guest",
  flags: [
    { flags: "-l, --long", help: "mode, owner, size and time as well" },
    { flags: "-b, --bytes", help: "sizes as numbers of bytes" },
    { flags: "--json", help: "for programs" },
    USER_FLAG,
  ],
  run: ls,
};

async function ls(call: HostCall): Promise<number> {
  const [{ guest }, path = "."] = call.targetAndPaths(0, 1);
  const at = await guest.files.stat(path);
  const entries = isDirectory(at) ? await guest.files.list(path) : [at];
  const size = (entry: EntryInfo) =>
    call.has("bytes") ? String(entry.size) : bytesText(Number(entry.size));
  process.stdout.write(
    call.has("json")
      ? jsonText(entries.map(plain))
      : call.has("long")
        ? table(["MODE", "OWNER", "GROUP", "SIZE", "CHANGED", "NAME"], longRows(entries, size), [
            "SIZE",
          ])
        : entries.map((entry) => `${shown(entry.name)}${isDirectory(entry) ? "/" : ""}\n`).join(""),
  );
  return 0;
}

function isDirectory({ type }: EntryInfo): boolean {
  return type === FileType.DIRECTORY;
}

function longRows(entries: readonly EntryInfo[], size: (entry: EntryInfo) => string): string[][] {
  return entries.map((entry) => [
    entry.permissions,
    shown(entry.owner),
    shown(entry.group),
    size(entry),
    changedAt(entry)?.slice(0, 19).replace("T", " ") ?? "",
    nameOf(entry),
  ]);
}

function nameOf(entry: EntryInfo): string {
  const { symlinkTarget } = entry;
  if (symlinkTarget !== undefined) return shown(`${entry.name} -> ${symlinkTarget}`);
  return `${shown(entry.name)}${isDirectory(entry) ? "/" : ""}`;
}

function changedAt({ modifiedTime }: EntryInfo): string | undefined {
  if (modifiedTime === undefined) return undefined;
  return new Date(Number(modifiedTime.seconds) * 1_000 + modifiedTime.nanos / 1e6).toISOString();
}

function plain(entry: EntryInfo) {
  const { name, path, size, mode, permissions, owner, group, symlinkTarget } = entry;
  const type = FileType[entry.type]?.toLowerCase() ?? "unspecified";
  const modified = changedAt(entry);
  return {
    name,
    path,
    type,
    size: Number(size),
    mode,
    permissions,
    owner,
    group,
    modified,
    symlinkTarget,
  };
}
