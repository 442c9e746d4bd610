import { AgentError } from "../errors.ts";
import { callLibc, SystemError } from "../system/libc.ts";

/** Where the metadata of a file lives among its extended attributes. */
const PREFIX = "user.e2b.";
/** The kernel's own bound for the names of all attributes, and for one value. */
const LARGEST_BYTES = 65_536;
/** Enough for nearly every file, so that the large buffer is seldom needed. */
const USUAL_BYTES = 4_096;

const LIST = "long listxattr(const char *path, _Out_ void *list, unsigned long size)";
const GET =
  "long getxattr(const char *path, const char *name, _Out_ void *value, unsigned long size)";
const SET =
  "int setxattr(const char *path, const char *name, const void *value, unsigned long size, int flags)";
const REMOVE = "int removexattr(const char *path, const char *name)";

/**
 * The metadata of the file at `path` (links are followed). Best effort: what cannot be read, or
 * is no UTF-8, is left out. Runs on the main thread; a file without metadata costs one call.
 */
export function readMetadata(path: string): Record<string, string> {
  if (path.includes("\0")) return {};
  const entries: [string, string][] = [];
  for (const name of attributeNames(path)) {
    const key = decode(name);
    const value = key === undefined ? undefined : decode(attribute(path, key));
    if (key !== undefined && value !== undefined) entries.push([key.slice(PREFIX.length), value]);
  }
  return Object.fromEntries(entries);
}

/**
 * Replaces the whole metadata of the open file `fd`, or gives it back as it was when that fails.
 * Returns `false` where the filesystem has no room for attributes at all. Too little space is
 * `exhausted`.
 */
export function writeMetadata(fd: number, metadata: Readonly<Record<string, string>>): boolean {
  // The path of a descriptor: one set of calls then serves open files and paths.
  const path = `/proc/self/fd/${fd}`;
  const before = readMetadata(path);
  try {
    replace(path, before, metadata);
    return true;
  } catch (cause) {
    if (!(cause instanceof SystemError)) throw cause;
    if (cause.code === "ENOTSUP" || cause.code === "EOPNOTSUPP") return false;
    restore(path, before);
    if (cause.code === "ENOSPC" || cause.code === "EDQUOT") {
      const message = `not enough space for file metadata: ${cause.message}`;
      throw new AgentError("exhausted", message, { cause });
    }
    throw new AgentError("internal", `error writing file metadata: ${cause.message}`, { cause });
  }
}

function replace(
  path: string,
  before: Readonly<Record<string, string>>,
  after: Readonly<Record<string, string>>,
): void {
  for (const key of Object.keys(before)) {
    if (!Object.hasOwn(after, key)) callLibc(REMOVE, path, PREFIX + key);
  }
  for (const [key, value] of Object.entries(after)) {
    const bytes = Buffer.from(value);
    callLibc(SET, path, PREFIX + key, bytes, bytes.byteLength, 0);
  }
}

function restore(path: string, before: Readonly<Record<string, string>>): void {
  try {
    replace(path, readMetadata(path), before);
  } catch {
    // The failure that led here is the one worth telling.
  }
}

/** The raw names of the attributes that are metadata. */
function attributeNames(path: string): Buffer[] {
  const list = readGrowing((buffer) => callLibc(LIST, path, buffer, buffer.byteLength));
  const names: Buffer[] = [];
  for (let start = 0; start < list.byteLength; ) {
    const end = list.indexOf(0, start);
    const name = list.subarray(start, end);
    if (name.byteLength > PREFIX.length && name.subarray(0, PREFIX.length).equals(PREFIX_BYTES)) {
      names.push(name);
    }
    start = end + 1;
  }
  return names;
}

const PREFIX_BYTES = Buffer.from(PREFIX);

function attribute(path: string, name: string): Buffer {
  return readGrowing((buffer) => callLibc(GET, path, name, buffer, buffer.byteLength));
}

/** What `read` puts into a buffer, the larger one where the usual is too small; else nothing. */
function readGrowing(read: (buffer: Buffer) => number): Buffer {
  for (const size of [USUAL_BYTES, LARGEST_BYTES]) {
    const buffer = Buffer.allocUnsafe(size);
    try {
      return buffer.subarray(0, read(buffer));
    } catch (cause) {
      if (!(cause instanceof SystemError)) throw cause;
      if (cause.code !== "ERANGE") break;
    }
  }
  return Buffer.alloc(0);
}

const utf8 = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });

function decode(bytes: Uint8Array): string | undefined {
  try {
    return utf8.decode(bytes);
  } catch {
    return undefined;
  }
}
