import { closeSync, openSync, writeSync } from "node:fs";
import { libcFunction } from "./libc.ts";

/** Either device leads to the one generator; this one can be opened for writing by everybody. */
const DEVICE = "/dev/urandom";
const RNDADDENTROPY = 0x40085203;
const RNDRESEEDCRNG = 0x5207;
const LIMIT_BYTES = 4_096;
/** The head of the kernel's `struct rand_pool_info`: how much is credited in bits, the length. */
const HEAD_BYTES = 8;

/**
 * Mixes random bytes of the host, at most 4,096, into the kernel's generator and lets it begin anew
 * with them. Returns whether the kernel took them for entropy. Without the right to say so
 * (CAP_SYS_ADMIN) they are mixed in as well, but they count for nothing, and the answer is `false`.
 */
export function addEntropy(bytes: Uint8Array): boolean {
  if (bytes.length > LIMIT_BYTES) {
    throw new RangeError(`${bytes.length} bytes of entropy, at most ${LIMIT_BYTES} are taken`);
  }
  if (bytes.length === 0) return false;
  const fd = openDevice();
  if (fd === undefined) return false;
  try {
    if (credit(fd, bytes)) return true;
    writeSync(fd, bytes);
    return false;
  } catch {
    // Nobody can be helped by a reason: the answer already says that the bytes count for nothing.
    return false;
  } finally {
    closeSync(fd);
  }
}

/**
 * Lets the kernel's generator begin anew with what the kernel has gathered by now and with what the
 * processor draws: clones whose hypervisor gives no generation id come apart by this. Returns
 * whether it did; only with CAP_SYS_ADMIN.
 */
export function reseedKernel(): boolean {
  const fd = openDevice();
  if (fd === undefined) return false;
  try {
    return reseed(fd);
  } finally {
    closeSync(fd);
  }
}

function openDevice(): number | undefined {
  try {
    return openSync(DEVICE, "r+");
  } catch {
    // A root without devices has no generator to mix anything into.
    return undefined;
  }
}

function credit(fd: number, bytes: Uint8Array): boolean {
  const info = Buffer.alloc(HEAD_BYTES + bytes.length);
  info.writeInt32LE(bytes.length * 8, 0);
  info.writeInt32LE(bytes.length, 4);
  info.set(bytes, HEAD_BYTES);
  // What is added reaches the output with the kernel's next reseeding, a minute away otherwise.
  return control(fd, RNDADDENTROPY, info) && reseed(fd);
}

function reseed(fd: number): boolean {
  return control(fd, RNDRESEEDCRNG, null);
}

function control(fd: number, request: number, argument: Buffer | null): boolean {
  const ioctl = libcFunction("int ioctl(int fd, uint64_t request, const uint8_t *argument)");
  return Number(ioctl(fd, request, argument)) === 0;
}
