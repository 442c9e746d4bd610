import { callLibc } from "./libc.ts";

const NS_PER_S = 1_000_000_000n;
/** In the place of the nanoseconds: the time stays as it is. */
const UTIME_OMIT = (1n << 30n) - 2n;
const AT_FDCWD = -100;
const AT_SYMLINK_NOFOLLOW = 0x100;

/** Says of the open file when its content last changed, in ns since 1970. */
export function setModifiedTime(fd: number, ns: bigint): void {
  callLibc("int futimens(int fd, const void *times)", fd, timesOf(ns));
}

/** The same of what is at `path`, in bytes; of a link itself. */
export function setModifiedTimeAt(path: string | Buffer, ns: bigint): void {
  const bytes = Buffer.concat([Buffer.from(path), Buffer.from([0])]);
  const signature = "int utimensat(int directory, const void *path, const void *times, int flags)";
  callLibc(signature, AT_FDCWD, bytes, timesOf(ns), AT_SYMLINK_NOFOLLOW);
}

function timesOf(ns: bigint): Buffer {
  const nanos = ((ns % NS_PER_S) + NS_PER_S) % NS_PER_S;
  const times = [0n, UTIME_OMIT, (ns - nanos) / NS_PER_S, nanos];
  return Buffer.from(BigInt64Array.from(times).buffer);
}
