import { type FileHandle, open, realpath, rename, stat, unlink } from "node:fs/promises";
import { randomText } from "./random.ts";

/**
 * Gives the file at `path` the content `bytes`. Nobody sees half of it: it is written beside the
 * file and put in its place. Only where that cannot be done, as with a file that is a mount
 * point, it is overwritten where it is. An existing file keeps its owner; `mode` applies to all,
 * and defaults to what the file has, or 0644.
 */
export async function replaceFile(path: string, bytes: Uint8Array, mode?: number): Promise<void> {
  const target = await realpath(path).catch(() => path);
  const old = await stat(target).catch(() => undefined);
  const temporary = `${target}.${randomText(12)}.tmp`;
  try {
    await write(temporary, "wx", bytes, async (file) => {
      await file.chmod(mode ?? (old === undefined ? 0o644 : old.mode & 0o7777));
      if (old !== undefined) await file.chown(old.uid, old.gid);
    });
    await rename(temporary, target);
  } catch (error) {
    await unlink(temporary).catch(() => undefined);
    if (!isInPlaceOnly(error)) throw error;
    await write(target, "r+", bytes, async (file) => {
      await file.truncate(bytes.byteLength);
      if (mode !== undefined) await file.chmod(mode);
    });
  }
}

async function write(
  path: string,
  flags: string,
  bytes: Uint8Array,
  finish: (file: FileHandle) => Promise<void>,
): Promise<void> {
  const file = await open(path, flags, 0o600);
  try {
    for (let offset = 0; offset < bytes.byteLength; ) {
      offset += (await file.write(bytes, offset)).bytesWritten;
    }
    await finish(file);
  } finally {
    await file.close();
  }
}

/** Mount points cannot be renamed over; a read-only directory may hold a writable mounted file. */
function isInPlaceOnly(error: unknown): boolean {
  const { code } = error as NodeJS.ErrnoException;
  return code === "EBUSY" || code === "EXDEV" || code === "EROFS";
}
