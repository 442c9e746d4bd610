import { fstat, ftruncate, statfs } from "node:fs";
import { constants } from "node:os";
import { promisify } from "node:util";
import { nextTurn } from "../lib/turns.ts";
import { callLibc, SystemError } from "../system/libc.ts";

const FALLOC_FL_KEEP_SIZE = 1;
/** How much is reserved by one call: some filesystems take a millisecond for a few of these. */
const STEP_BYTES = 64 * 1024 * 1024;

const statFd = promisify(fstat);
const statFileSystem = promisify(statfs);
const truncateFd = promisify(ftruncate);

/**
 * Makes sure that `bytes` bytes of the open file can be written without running out of space,
 * changing neither its content nor its `size`. Gives back what it took when there is too little.
 * Where the filesystem cannot tell, nothing is reserved.
 */
export async function reserveSpace(fd: number, bytes: number, size: number): Promise<void> {
  try {
    for (let offset = 0; offset < bytes; offset += STEP_BYTES) {
      allocate(fd, offset, Math.min(STEP_BYTES, bytes - offset));
      // Others would find the disk full while it is tried whether all of it is enough.
      if (offset === 0) await checkFree(fd, bytes);
      await nextTurn();
    }
  } catch (cause) {
    if (cause instanceof SystemError && isUnsupported(cause)) return;
    await giveBack(fd, size);
    throw cause;
  }
}

/** Throws `SystemError` when the file system has not as much free as the file lacks. */
async function checkFree(fd: number, bytes: number): Promise<void> {
  const { blocks } = await statFd(fd);
  const { bfree, bsize } = await statFileSystem(`/proc/self/fd/${fd}`);
  if (bytes - blocks * 512 > bfree * bsize) {
    throw new SystemError("fallocate", constants.errno.ENOSPC);
  }
}

/** Frees what was reserved behind the end of a file of `size` bytes. */
export async function giveBack(fd: number, size: number): Promise<void> {
  await truncateFd(fd, size);
}

/** Whether `cause` says that the disk, or the owner's share of it, is full. */
export function isOutOfSpace(cause: unknown): boolean {
  const { code } = cause as NodeJS.ErrnoException;
  return code === "ENOSPC" || code === "EDQUOT";
}

function allocate(fd: number, offset: number, bytes: number): void {
  const signature = "int fallocate(int fd, int mode, int64_t offset, int64_t bytes)";
  for (;;) {
    try {
      callLibc(signature, fd, FALLOC_FL_KEEP_SIZE, offset, bytes);
      return;
    } catch (cause) {
      if (!(cause instanceof SystemError) || cause.code !== "EINTR") throw cause;
    }
  }
}

function isUnsupported({ code }: SystemError): boolean {
  return code === "EOPNOTSUPP" || code === "ENOTSUP" || code === "ENOSYS";
}
