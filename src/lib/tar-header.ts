/** How long a block of a tar stream is, in bytes: everything in it is padded to whole ones. */
export const BLOCK_BYTES = 512;

/** A stream that is no tar stream, or none that can be read. */
export class TarError extends Error {
  override readonly name = "TarError";
}

/** The one block that stands before each entry. Texts have one character for each byte. */
export interface TarHeader {
  name: string;
  mode: number;
  uid: number;
  gid: number;
  /** How many bytes follow. */
  size: number;
  /** In whole seconds since 1970. */
  modifiedS: number;
  /** The letter of the kind, as in `0` for a file. */
  type: string;
  linkName: string;
}

/** The largest numbers that the fields take in octal. */
export const LARGEST = { id: 0o7777777, size: 0o77777777777, time: 0o77777777777 } as const;
/** The longest name that fits. */
export const LONGEST_NAME = 100;

/** The block of a header. What does not fit is cut: it is told by the extended header before. */
export function encodeHeader(header: TarHeader): Buffer {
  const block = Buffer.alloc(BLOCK_BYTES);
  const octal = (value: number, offset: number, digits: number) => {
    block.write(value.toString(8).padStart(digits, "0"), offset, digits, "latin1");
  };
  block.write(header.name, 0, LONGEST_NAME, "latin1");
  octal(header.mode & 0o7777, 100, 7);
  octal(Math.min(header.uid, LARGEST.id), 108, 7);
  octal(Math.min(header.gid, LARGEST.id), 116, 7);
  octal(Math.min(header.size, LARGEST.size), 124, 11);
  octal(Math.max(0, Math.min(header.modifiedS, LARGEST.time)), 136, 11);
  block.write(header.type, 156, 1, "latin1");
  block.write(header.linkName, 157, LONGEST_NAME, "latin1");
  block.write("ustar\u000000", 257, "latin1");
  octal(0, 329, 7);
  octal(0, 337, 7);
  octal(checksum(block), 148, 6);
  block[155] = 0x20;
  return block;
}

/** Reads a header; `undefined` for the zeros at the end of a stream. Throws `TarError`. */
export function decodeHeader(block: Buffer): TarHeader | undefined {
  if (block.every((byte) => byte === 0)) return undefined;
  if (number(block, 148, 8) !== checksum(block)) {
    throw new TarError("no tar stream: the checksum of a header is wrong");
  }
  const prefix = isPosix(block) ? text(block, 345, 155) : "";
  const name = text(block, 0, LONGEST_NAME);
  const type = String.fromCharCode(block[156] ?? 0).replace("\0", "0");
  return {
    name: prefix === "" ? name : `${prefix}/${name}`,
    mode: number(block, 100, 8) & 0o7777,
    uid: number(block, 108, 8),
    gid: number(block, 116, 8),
    size: number(block, 124, 12),
    modifiedS: number(block, 136, 12),
    // What old programs say of a directory.
    type: type === "0" && name.endsWith("/") ? "5" : type,
    linkName: text(block, 157, LONGEST_NAME),
  };
}

/** A number of a header: octal digits, or binary where those are too few. */
export function number(block: Buffer, offset: number, length: number): number {
  const field = block.subarray(offset, offset + length);
  const first = field[0] ?? 0;
  if (first < 0x80) {
    const digits = field.toString("latin1").replace(/\0.*$/s, "").trim();
    if (/^[0-7]*$/.test(digits)) return digits === "" ? 0 : Number.parseInt(digits, 8);
    throw new TarError(`no tar stream: ${JSON.stringify(digits)} is no number`);
  }
  // Two's complement, the highest bit aside.
  let value = first === 0xff ? -1 : first & 0x7f;
  for (const byte of field.subarray(1)) value = value * 256 + byte;
  if (!Number.isSafeInteger(value)) throw new TarError(`no tar stream: ${value} is too large`);
  return value;
}

function text(block: Buffer, offset: number, length: number): string {
  const field = block.toString("latin1", offset, offset + length);
  const end = field.indexOf("\0");
  return end < 0 ? field : field.slice(0, end);
}

/** GNU tar keeps other things where POSIX has the prefix of the name. */
function isPosix(block: Buffer): boolean {
  return block.toString("latin1", 257, 263) === "ustar\0";
}

/** The sum of all bytes, with blanks in the place of the sum. */
function checksum(block: Buffer): number {
  let sum = 8 * 0x20;
  for (const [index, byte] of block.entries()) if (index < 148 || index >= 156) sum += byte;
  return sum;
}
