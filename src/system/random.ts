import { libcFunction } from "./libc.ts";

/** Letters and digits, which need no quoting in a URL, a header or a file name. */
const LETTERS_AND_DIGITS = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789";

const EINTR_RETRIES = 16;

/**
 * `length` bytes of the kernel's generator. Node's own generator lives in the process and is the
 * same in every clone of a snapshot; the kernel's is not.
 */
export function randomBytes(length: number): Buffer {
  const bytes = Buffer.alloc(length);
  let filled = 0;
  for (let failures = 0; filled < length; ) {
    const got = drawInto(bytes.subarray(filled));
    if (got > 0) filled += got;
    else if (++failures > EINTR_RETRIES) throw new Error("the kernel gives no random bytes");
  }
  return bytes;
}

function drawInto(bytes: Buffer): number {
  return Number(
    libcFunction("int64_t getrandom(_Out_ uint8_t *buffer, uint64_t length, unsigned int flags)")(
      bytes,
      bytes.length,
      0,
    ),
  );
}

/**
 * A text of `length` characters, each drawn evenly from `alphabet` (default: letters and digits,
 * 5.95 bits each; 22 of them are 128 bits) by the kernel. `alphabet` has 2 to 256 characters.
 */
export function randomText(length: number, alphabet = LETTERS_AND_DIGITS): string {
  if (alphabet.length < 2 || alphabet.length > 256) {
    throw new RangeError(`an alphabet has 2 to 256 characters, not ${alphabet.length}`);
  }
  // Bytes above the last whole multiple are thrown away: a remainder would favour the first ones.
  const usable = 256 - (256 % alphabet.length);
  let text = "";
  while (text.length < length) {
    for (const byte of randomBytes(length - text.length)) {
      if (byte < usable) text += alphabet[byte % alphabet.length];
    }
  }
  return text;
}
