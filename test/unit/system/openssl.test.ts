import { randomBytes } from "node:crypto";
import { expect, test } from "vitest";
import { libcFunction, programFunction } from "../../../src/system/libc.ts";
import { reseedOpenssl } from "../../../src/system/openssl.ts";

const UNSIGNED = 2;
const ENTRY_BYTES = 40;

/** How often OpenSSL has seeded the generator that those of all threads follow. */
function countSeedings(): number {
  const primary = libcFunction("void *RAND_get0_primary(void *context)")(null);
  const ask = libcFunction("int EVP_RAND_CTX_get_params(void *generator, const void *parameters)");
  const name = Buffer.from("reseed_counter\0");
  const value = Buffer.alloc(4);
  // One `struct ossl_param_st` and the empty one that ends the list.
  const parameters = Buffer.alloc(2 * ENTRY_BYTES);
  parameters.writeBigUInt64LE(addressOf(name), 0);
  parameters.writeUInt32LE(UNSIGNED, 8);
  parameters.writeBigUInt64LE(addressOf(value), 16);
  parameters.writeBigUInt64LE(BigInt(value.length), 24);
  expect(ask(primary, parameters)).toBe(1);
  return value.readUInt32LE();
}

/** Where `bytes` are: `memchr` finds the first of them there. */
function addressOf(bytes: Buffer): bigint {
  const find = libcFunction("uint64_t memchr(const void *bytes, int byte, uint64_t length)");
  return BigInt(find(bytes, bytes[0], bytes.length));
}

test("each call seeds the generator of this process anew, and drawing does not", () => {
  randomBytes(16);
  const before = countSeedings();
  randomBytes(16);
  expect(countSeedings()).toBe(before);

  for (let call = 1; call <= 5; call += 1) {
    expect(reseedOpenssl()).toBe(true);
    expect(countSeedings()).toBe(before + call);
  }

  expect(randomBytes(16).equals(randomBytes(16))).toBe(false);
});

test("what a program does not export is nothing to call", () => {
  expect(programFunction("int thaw_has_no_such_function(void)")).toBeUndefined();
});
