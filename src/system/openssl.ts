import { programFunction } from "./libc.ts";

/**
 * Seeds the random generators of this process's OpenSSL anew from the kernel: they were copied
 * with the process's memory, so each clone would draw the same keys and nonces. The generators of
 * all threads follow their common parent. `false` when this Node does not let them be reached.
 *
 * What was drawn before stays: the UUIDs that `crypto.randomUUID` keeps in store are not used here.
 */
export function reseedOpenssl(): boolean {
  return programFunction("int RAND_poll(void)")?.() === 1;
}
