import { constants, ftruncate, open } from "node:fs";
import { unlink } from "node:fs/promises";
import { promisify } from "node:util";
import type { TarEntry } from "../lib/tar-reader.ts";
import type { User } from "../system/users.ts";
import { writeAll } from "./batch-writer.ts";
import type { HeldDirectory } from "./held-directory.ts";
import type { InodeLocks } from "./inode-locks.ts";
import { type FileAttributes, placeFile } from "./place-file.ts";
import type { RawPath } from "./raw-path.ts";
import { reserveSpace } from "./space.ts";
import { unusedStagedName } from "./staged-name.ts";
import { closeFd } from "./upload-target.ts";

/** From this size on the space for a file is reserved before its bytes are taken. */
const RESERVED_BYTES = 1024 * 1024;

const openFd = promisify(open);
const truncateFd = promisify(ftruncate);

/** A file of a tar stream, and where it goes. */
export interface UnpackRequest {
  entry: TarEntry;
  directory: HeldDirectory;
  name: RawPath;
  attributes: FileAttributes;
  user: User;
  locks: InodeLocks;
  signal: AbortSignal;
}

/**
 * Writes a file beside its place, holes as holes, and puts it there in one step. Returns how many
 * bytes it has, holes aside.
 */
export async function unpackFile(request: UnpackRequest): Promise<number> {
  const { entry, directory, name, attributes, user, locks, signal } = request;
  const staged = unusedStagedName();
  const flags = constants.O_RDWR | constants.O_CREAT | constants.O_EXCL;
  const fd = await openFd(directory.pathOf(staged), flags, 0o600);
  try {
    const written = await fill(fd, entry);
    await placeFile({
      fd,
      bytes: entry.size,
      from: { directory, name: staged },
      to: { directory, name },
      attributes,
      user,
      locks,
      isDurable: false,
      signal,
    });
    return written;
  } catch (cause) {
    await unlink(directory.pathOf(staged)).catch(() => {});
    throw cause;
  } finally {
    await closeFd(fd);
  }
}

async function fill(fd: number, entry: TarEntry): Promise<number> {
  const [first, ...others] = entry.segments;
  const isWhole = first?.bytes === entry.size && others.length === 0;
  if (isWhole && entry.size >= RESERVED_BYTES) await reserveSpace(fd, entry.size, 0);
  const segments = entry.segments.values();
  let segment = { offset: 0, bytes: 0 };
  let written = 0;
  for await (const piece of entry.body()) {
    for (let rest = piece; rest.length > 0; ) {
      while (segment.bytes === 0) segment = { ...(segments.next().value ?? beyond()) };
      const part = rest.subarray(0, segment.bytes);
      await writeAll(fd, [part], segment.offset);
      rest = rest.subarray(part.length);
      segment = { offset: segment.offset + part.length, bytes: segment.bytes - part.length };
      written += part.length;
    }
  }
  if (!isWhole) await truncateFd(fd, entry.size);
  return written;
}

function beyond(): never {
  throw new Error("an entry has more bytes than its segments");
}
