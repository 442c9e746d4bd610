import type { BigIntStats } from "node:fs";
import { lstat, stat } from "node:fs/promises";
import { readMetadata } from "./metadata.ts";
import { describeMode } from "./permissions.ts";
import { fromRawPath, type RawPath, systemPath, toRawPath } from "./raw-path.ts";
import { resolveLinks } from "./resolve-links.ts";

/** What a path leads to, links followed. `other`: a broken link, a device, a socket, a pipe. */
export type EntryKind = "file" | "directory" | "other";

/** One path, described. Unless a field says otherwise it is about a link itself, not its target. */
export interface Entry {
  /** The last part of the path. */
  name: string;
  /** The path as it was asked for. */
  path: string;
  /** Of the target. */
  kind: EntryKind;
  sizeBytes: bigint;
  /** The permission bits of the target, without set-id and sticky bits; 0 of a broken link. */
  mode: number;
  /** The whole mode in words, see `describeMode`. */
  permissions: string;
  /** A name, or a decimal id that has none. */
  owner: string;
  /** A name, or a decimal id that has none. */
  group: string;
  /** When the content last changed, in nanoseconds since 1970. */
  modifiedNs: bigint;
  /** Only of a link: where it finally leads, or its own path when that cannot be told. */
  linkTarget: string | undefined;
  /** What uploads have attached to the target. */
  metadata: Record<string, string>;
}

/** Names for ids; `Users` fits. */
export interface AccountNames {
  nameOf(uid: number): string;
  groupNameOf(gid: number): string;
}

/** An entry, and whether it is a real directory and no link to one. */
export interface FoundEntry {
  entry: Entry;
  isRealDirectory: boolean;
}

/** Describes `path`. Fails as the system fails; a broken link does not. */
export async function readEntry(path: string, names: AccountNames): Promise<Entry> {
  return (await readRawEntry(toRawPath(path), path, names)).entry;
}

/** Describes what lies at the bytes `raw`, as an entry whose path is `path`. */
export async function readRawEntry(
  raw: RawPath,
  path: string,
  names: AccountNames,
): Promise<FoundEntry> {
  const stats = await lstat(systemPath(raw), { bigint: true });
  const link = stats.isSymbolicLink() ? await followLink(raw) : undefined;
  const target = link === undefined ? stats : link.stats;
  const entry: Entry = {
    name: baseName(path),
    path,
    kind: kindOf(target),
    sizeBytes: stats.size,
    mode: target === undefined ? 0 : Number(target.mode) & 0o777,
    permissions: describeMode(Number(stats.mode)),
    owner: names.nameOf(Number(stats.uid)),
    group: names.groupNameOf(Number(stats.gid)),
    modifiedNs: stats.mtimeNs,
    linkTarget: link === undefined ? undefined : fromRawPath(link.target),
    metadata: hasMetadata(target) ? metadataOf(raw) : {},
  };
  return { entry, isRealDirectory: stats.isDirectory() };
}

async function followLink(
  raw: RawPath,
): Promise<{ target: RawPath; stats: BigIntStats | undefined }> {
  try {
    const target = await resolveLinks(raw);
    return { target, stats: await stat(systemPath(target), { bigint: true }) };
  } catch {
    return { target: raw, stats: undefined };
  }
}

function kindOf(target: BigIntStats | undefined): EntryKind {
  if (target?.isFile() === true) return "file";
  return target?.isDirectory() === true ? "directory" : "other";
}

/** Only files and directories can carry attributes of users. */
function hasMetadata(target: BigIntStats | undefined): boolean {
  return kindOf(target) !== "other";
}

/** Attributes are read by name as text: a name that is no text has none. */
function metadataOf(raw: RawPath): Record<string, string> {
  const path = fromRawPath(raw);
  return toRawPath(path) === raw ? readMetadata(path) : {};
}

function baseName(path: string): string {
  let end = path.length;
  while (end > 0 && path[end - 1] === "/") end -= 1;
  return end === 0 ? "/" : path.slice(path.lastIndexOf("/", end - 1) + 1, end);
}
