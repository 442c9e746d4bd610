import { TarError } from "./tar-header.ts";

/** The records of an extended header. Texts have one character for each byte. */
export type PaxRecords = Map<string, string>;

/** The bytes of an extended header. */
export function encodePax(records: PaxRecords): Buffer {
  const lines = [...records].map(([key, value]) => {
    const rest = ` ${key}=${value}\n`;
    // The length counts its own digits.
    let length = rest.length + 1;
    while (String(length).length + rest.length !== length) length += 1;
    return `${length}${rest}`;
  });
  return Buffer.from(lines.join(""), "latin1");
}

/** More is no header that somebody wrote, but one that is to take time. */
const MOST_RECORDS = 1_000;

const PLAIN = ["path", "linkpath", "size", "mtime", "uid", "gid"];
const SPARSE = ["major", "minor", "name", "realsize"];
/** Of the formats before 1.0, which are refused. */
const OLD_SPARSE = ["size", "numblocks", "offset", "numbytes", "map"];
/** What somebody reads: all else is passed over, as a stream may have any number of it. */
const KEPT = new Set(PLAIN.concat(SPARSE.concat(OLD_SPARSE).map((key) => `GNU.sparse.${key}`)));

/** Reads an extended header. Throws `TarError`. */
export function decodePax(bytes: Buffer): PaxRecords {
  const records: PaxRecords = new Map();
  let count = 0;
  for (let at = 0; at < bytes.length; count += 1) {
    if (count === MOST_RECORDS) throw new TarError("an extended header has too many records");
    const blank = bytes.indexOf(0x20, at);
    const length = Number(bytes.toString("latin1", at, Math.max(at, blank)));
    const end = at + length;
    if (!Number.isSafeInteger(length) || length < 5 || end > bytes.length) {
      throw new TarError("an extended header has a record without a proper length");
    }
    const equals = bytes.indexOf(0x3d, blank);
    if (equals < 0 || equals >= end || bytes[end - 1] !== 0x0a) {
      throw new TarError("an extended header has a record that is none");
    }
    const key = bytes.toString("latin1", blank + 1, equals);
    if (KEPT.has(key)) records.set(key, bytes.toString("latin1", equals + 1, end - 1));
    at = end;
  }
  return records;
}

const NS_DIGITS = 9;

/** A time as records have it, in seconds with a fraction, from nanoseconds since 1970. */
export function paxTime(ns: bigint): string {
  const sign = ns < 0n ? "-" : "";
  const digits = String(ns < 0n ? -ns : ns).padStart(NS_DIGITS + 1, "0");
  const fraction = digits.slice(-NS_DIGITS).replace(/0+$/, "");
  return `${sign}${digits.slice(0, -NS_DIGITS)}${fraction === "" ? "" : `.${fraction}`}`;
}

/** The reverse of `paxTime`; what is finer than nanoseconds is left out. Throws `TarError`. */
export function fromPaxTime(text: string): bigint {
  const [, sign, seconds = "", fraction = ""] = /^(-?)(\d{1,18})(?:\.(\d*))?$/.exec(text) ?? [];
  if (sign === undefined) throw new TarError(`${JSON.stringify(text)} is no time`);
  const ns = BigInt(seconds + fraction.slice(0, NS_DIGITS).padEnd(NS_DIGITS, "0"));
  return sign === "-" ? -ns : ns;
}
