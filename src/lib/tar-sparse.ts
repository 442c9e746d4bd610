import type { ByteReader } from "./byte-reader.ts";
import { BLOCK_BYTES, number, TarError } from "./tar-header.ts";

/** Bytes of a file that are no hole. */
export interface Segment {
  offset: number;
  bytes: number;
}

/** More of them is no file that somebody made, but one that is to fill memory. */
const MOST_SEGMENTS = 1_000_000;

/** The map that stands before the data of a sparse file, in GNU tar's format 1.0. */
export function encodeSparseMap(segments: readonly Segment[], realSize: number): Buffer {
  const last = segments.at(-1);
  // A hole at the end is told by nothing that comes after it.
  const isOpen = last === undefined || last.offset + last.bytes < realSize;
  const all = isOpen ? [...segments, { offset: realSize, bytes: 0 }] : segments;
  const lines = all.map(({ offset, bytes }) => `${offset}\n${bytes}\n`);
  const text = `${all.length}\n${lines.join("")}`;
  return Buffer.concat([Buffer.from(text, "latin1"), Buffer.alloc(padding(text.length))]);
}

/** How many zeros follow after so many bytes. */
export function padding(bytes: number): number {
  return (BLOCK_BYTES - (bytes % BLOCK_BYTES)) % BLOCK_BYTES;
}

/** Reads the map in format 1.0, and says how many bytes it took. Throws `TarError`. */
export async function readSparseMap(
  reader: ByteReader,
): Promise<{ segments: Segment[]; mapBytes: number }> {
  let text = "";
  let at = 0;
  let mapBytes = 0;
  const next = async (): Promise<number> => {
    let end = text.indexOf("\n", at);
    while (end < 0) {
      const block = await reader.exactly(BLOCK_BYTES);
      if (block.length < BLOCK_BYTES) throw new TarError("the stream ends in a sparse map");
      mapBytes += block.length;
      text = text.slice(at) + block.toString("latin1");
      at = 0;
      if (text.length > 2 * BLOCK_BYTES) throw new TarError("a sparse map has no numbers");
      end = text.indexOf("\n", at);
    }
    const digits = text.slice(at, end);
    at = end + 1;
    if (!/^\d{1,16}$/.test(digits)) throw new TarError("a sparse map has no numbers");
    return Number(digits);
  };
  const count = await next();
  if (count > MOST_SEGMENTS) throw new TarError(`a sparse file has ${count} segments: too many`);
  const segments: Segment[] = [];
  while (segments.length < count) segments.push({ offset: await next(), bytes: await next() });
  return { segments, mapBytes };
}

/** Reads the map of GNU tar's own older format: a part in the header, the rest in blocks after it. */
export async function readOldSparseMap(
  header: Buffer,
  reader: ByteReader,
): Promise<{ segments: Segment[]; realSize: number }> {
  const segments = segmentsOf(header, 386, 4);
  let hasMore = header[482] !== 0;
  while (hasMore) {
    const block = await reader.exactly(BLOCK_BYTES);
    if (block.length < BLOCK_BYTES) throw new TarError("the stream ends in a sparse map");
    segments.push(...segmentsOf(block, 0, 21));
    hasMore = block[504] !== 0;
    if (segments.length > MOST_SEGMENTS) throw new TarError("a sparse file has too many segments");
  }
  return { segments, realSize: number(header, 483, 12) };
}

function segmentsOf(block: Buffer, from: number, most: number): Segment[] {
  const segments: Segment[] = [];
  for (let index = 0; index < most; index += 1) {
    const at = from + index * 24;
    if (block[at] === 0) break;
    segments.push({ offset: number(block, at, 12), bytes: number(block, at + 12, 12) });
  }
  return segments;
}
