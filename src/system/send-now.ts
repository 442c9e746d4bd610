import { callLibc } from "./libc.ts";

const MSG_DONTWAIT = 0x40;
const MSG_NOSIGNAL = 0x4000;

/**
 * Sends what the socket `fd` takes of `bytes` without waiting, whatever its flags say, which others
 * may share. Returns how many that were; throws `SystemError` with `EAGAIN` when it takes none.
 */
export function sendNow(fd: number, bytes: Uint8Array): number {
  const send = "int64_t send(int fd, const uint8_t *bytes, uint64_t length, int flags)";
  return callLibc(send, fd, bytes, bytes.length, MSG_DONTWAIT | MSG_NOSIGNAL);
}
