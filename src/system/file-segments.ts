import { nextTurn } from "../lib/turns.ts";
import { callLibc, SystemError } from "./libc.ts";

const SEEK_DATA = 3;
const SEEK_HOLE = 4;
/** How many are looked up at a stretch, at some microseconds each. */
const STRETCH = 256;

/** Bytes of a file that are no hole. */
export interface FileSegment {
  offset: number;
  bytes: number;
}

/**
 * Where the open file of `size` bytes has bytes. All of it where the file system does not say, or
 * when there are more than `most` segments. Moves the position of the descriptor.
 */
export async function findSegments(fd: number, size: number, most: number): Promise<FileSegment[]> {
  const segments: FileSegment[] = [];
  try {
    for (let at = 0; at < size; ) {
      const offset = seek(fd, at, SEEK_DATA);
      if (offset === undefined || offset >= size) break;
      at = Math.min(size, seek(fd, offset, SEEK_HOLE) ?? size);
      segments.push({ offset, bytes: at - offset });
      if (segments.length > most) return [{ offset: 0, bytes: size }];
      if (segments.length % STRETCH === 0) await nextTurn();
    }
    return segments;
  } catch (cause) {
    if (cause instanceof SystemError) return [{ offset: 0, bytes: size }];
    throw cause;
  }
}

/** `undefined` when there is none of that any more. */
function seek(fd: number, from: number, whence: number): number | undefined {
  try {
    return callLibc("int64_t lseek(int fd, int64_t offset, int whence)", fd, from, whence);
  } catch (cause) {
    if (cause instanceof SystemError && cause.code === "ENXIO") return undefined;
    throw cause;
  }
}
