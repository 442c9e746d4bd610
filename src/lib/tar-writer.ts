import { BLOCK_BYTES, encodeHeader, LARGEST, LONGEST_NAME, type TarHeader } from "./tar-header.ts";
import { encodePax, type PaxRecords, paxTime } from "./tar-pax.ts";
import { padding } from "./tar-sparse.ts";

const NS_PER_S = 1_000_000_000n;

/** The zeros that end a stream. */
export const END_OF_TAR: Buffer = Buffer.alloc(2 * BLOCK_BYTES);

/** The kinds of entries, and their letters. */
export const TAR_TYPES = { file: "0", hardLink: "1", symlink: "2", directory: "5" } as const;

/** What is written before the bytes of an entry. Texts have one character for each byte. */
export interface TarEntryHead {
  /** Relative, with `/` between its parts. */
  path: string;
  type: keyof typeof TAR_TYPES;
  mode: number;
  uid: number;
  gid: number;
  /** In nanoseconds since 1970. */
  modifiedNs: bigint;
  /** How many bytes follow, with the map of a sparse file. */
  bytes: number;
  /** What a link says, or the path of the entry that a hard link is another name of. */
  linkPath?: string;
  /** Only of a sparse file: how long it is with its holes. */
  realSize?: number;
}

/** The header of an entry, with an extended one before it for what does not fit. */
export function encodeEntryHead(entry: TarEntryHead): Buffer {
  const name = entry.type === "directory" ? `${entry.path}/` : entry.path;
  const header: TarHeader = {
    name: entry.realSize === undefined ? name : "GNUSparseFile.0/sparse",
    mode: entry.mode,
    uid: entry.uid,
    gid: entry.gid,
    size: entry.bytes,
    modifiedS: Number(entry.modifiedNs / NS_PER_S),
    type: TAR_TYPES[entry.type],
    linkName: entry.linkPath ?? "",
  };
  const records = recordsOf(entry, name);
  if (records.size === 0) return encodeHeader(header);
  const pax = encodePax(records);
  const extended = { ...header, name: "PaxHeader/entry", mode: 0o644, linkName: "" };
  return Buffer.concat([
    encodeHeader({ ...extended, size: pax.length, type: "x" }),
    pax,
    Buffer.alloc(padding(pax.length)),
    encodeHeader(header),
  ]);
}

function recordsOf(entry: TarEntryHead, name: string): PaxRecords {
  const { linkPath = "", uid, gid, bytes, modifiedNs, realSize } = entry;
  const records: PaxRecords = new Map();
  const isLong = name.length > LONGEST_NAME || realSize !== undefined;
  const texts = (isLong ? name : "") + (linkPath.length > LONGEST_NAME ? linkPath : "");
  if (!isUtf8(texts)) records.set("hdrcharset", "BINARY");
  if (isLong && realSize === undefined) records.set("path", name);
  if (linkPath.length > LONGEST_NAME) records.set("linkpath", linkPath);
  if (uid > LARGEST.id) records.set("uid", String(uid));
  if (gid > LARGEST.id) records.set("gid", String(gid));
  if (bytes > LARGEST.size) records.set("size", String(bytes));
  const isWhole = modifiedNs % NS_PER_S === 0n && modifiedNs >= 0n;
  if (!isWhole || modifiedNs / NS_PER_S > BigInt(LARGEST.time)) {
    records.set("mtime", paxTime(modifiedNs));
  }
  if (realSize === undefined) return records;
  records.set("GNU.sparse.major", "1");
  records.set("GNU.sparse.minor", "0");
  records.set("GNU.sparse.name", name);
  records.set("GNU.sparse.realsize", String(realSize));
  return records;
}

const utf8 = new TextDecoder("utf-8", { fatal: true });

function isUtf8(text: string): boolean {
  try {
    utf8.decode(Buffer.from(text, "latin1"));
    return true;
  } catch {
    return false;
  }
}
