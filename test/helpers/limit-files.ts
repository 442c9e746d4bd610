import { callLibc } from "../../src/system/libc.ts";

const RLIMIT_NOFILE = 7;
const PRLIMIT = "int prlimit64(int pid, int which, void *limit, _Out_ uint64_t *old)";

/** Lets this process open descriptors below `count` only, until disposed. */
export function limitFiles(count: number): Disposable {
  const old = new BigUint64Array(2);
  callLibc(PRLIMIT, 0, RLIMIT_NOFILE, null, old);
  callLibc(PRLIMIT, 0, RLIMIT_NOFILE, new BigUint64Array([BigInt(count), old[1] ?? 0n]), null);
  return { [Symbol.dispose]: () => callLibc(PRLIMIT, 0, RLIMIT_NOFILE, old, null) };
}
