import { create } from "@bufbuild/protobuf";
import { type Timestamp, TimestampSchema } from "@bufbuild/protobuf/wkt";
import type { HandlerContext } from "@connectrpc/connect";
import { type EntryInfo, EntryInfoSchema, FileType } from "../../gen/filesystem/filesystem_pb.js";
import type { Entry, EntryKind } from "../filesystem/entries.ts";
import { nextTurn } from "../lib/turns.ts";

/** What old clients call themselves, which take no other fields than name, type and path. */
const LEGACY_AGENT = "connect-python";
const LEGACY_HEADER = "X-E2B-Legacy-SDK";

/** How many entries are translated at a stretch. */
const STRETCH = 2_000;

const NS_PER_S = 1_000_000_000n;
/** The years 1 to 9999: what a timestamp on the wire can say. */
const EARLIEST_S = -62_135_596_800n;
const LATEST_S = 253_402_300_799n;

const FILE_TYPES: Record<EntryKind, FileType> = {
  file: FileType.FILE,
  directory: FileType.DIRECTORY,
  other: FileType.UNSPECIFIED,
};

/** Says entries in the words of the wire. */
export interface EntryWriter {
  write(entry: Entry): EntryInfo;
  /** The same for many, giving way to others now and then. */
  writeAll(entries: readonly Entry[]): Promise<EntryInfo[]>;
}

/** The writer for the client of a call. A response to an old client says that it is shortened. */
export function entryWriter({ requestHeader, responseHeader }: HandlerContext): EntryWriter {
  const isLegacy = requestHeader.get("User-Agent") === LEGACY_AGENT;
  if (isLegacy) responseHeader.set(LEGACY_HEADER, "true");
  const write = isLegacy ? toShortEntryInfo : toEntryInfo;
  return { write, writeAll: (entries) => inStretches(entries, write) };
}

async function inStretches(
  entries: readonly Entry[],
  write: (entry: Entry) => EntryInfo,
): Promise<EntryInfo[]> {
  const written: EntryInfo[] = [];
  for (const entry of entries) {
    written.push(write(entry));
    if (written.length % STRETCH === 0) await nextTurn();
  }
  return written;
}

function toShortEntryInfo({ name, path, kind }: Entry): EntryInfo {
  return create(EntryInfoSchema, { name, path, type: FILE_TYPES[kind] });
}

function toEntryInfo(entry: Entry): EntryInfo {
  const info = create(EntryInfoSchema);
  info.name = entry.name;
  info.type = FILE_TYPES[entry.kind];
  info.path = entry.path;
  info.size = entry.sizeBytes;
  info.mode = entry.mode;
  info.permissions = entry.permissions;
  info.owner = entry.owner;
  info.group = entry.group;
  info.modifiedTime = toTimestamp(entry.modifiedNs);
  if (entry.linkTarget !== undefined) info.symlinkTarget = entry.linkTarget;
  info.metadata = entry.metadata;
  return info;
}

/** A time of the wire, in nanoseconds since 1970. */
export function toNanoseconds({ seconds, nanos }: { seconds: bigint; nanos: number }): bigint {
  return seconds * NS_PER_S + BigInt(nanos);
}

/** `undefined` for a time that the wire cannot say; a file system can hold nearly any. */
export function toTimestamp(ns: bigint): Timestamp | undefined {
  const nanos = ((ns % NS_PER_S) + NS_PER_S) % NS_PER_S;
  const seconds = (ns - nanos) / NS_PER_S;
  if (seconds < EARLIEST_S || seconds > LATEST_S) return undefined;
  return create(TimestampSchema, { seconds, nanos: Number(nanos) });
}
