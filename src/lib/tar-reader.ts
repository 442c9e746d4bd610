import type { ByteReader } from "./byte-reader.ts";
import { BLOCK_BYTES, decodeHeader, TarError, type TarHeader } from "./tar-header.ts";
import { decodePax, fromPaxTime, type PaxRecords } from "./tar-pax.ts";
import { padding, readOldSparseMap, readSparseMap, type Segment } from "./tar-sparse.ts";

/** The most that may stand before an entry: names and what else does not fit into its header. */
const MOST_EXTENDED_BYTES = 1024 * 1024;
const NS_PER_S = 1_000_000_000n;

/** An entry of a tar stream. Texts have one character for each byte. */
export interface TarEntry {
  path: string;
  /** The letter of its kind: `0` is a file, also a sparse one. */
  type: string;
  mode: number;
  uid: number;
  gid: number;
  /** In nanoseconds since 1970. */
  modifiedNs: bigint;
  linkPath: string;
  /** How long the file is, with its holes. */
  size: number;
  /** Where its bytes belong; one segment unless it is sparse. */
  segments: readonly Segment[];
  /** Its bytes, without the holes, in pieces. To be read before the next entry, or not at all. */
  body(): AsyncIterable<Buffer>;
}

/** The names that stand before an entry. */
interface Extended {
  pax: PaxRecords;
  longName: string | undefined;
  longLink: string | undefined;
}

/**
 * Reads a tar stream: POSIX with extended headers, or GNU, with sparse files in the formats that
 * GNU tar writes. Throws `TarError` for what is none, or ends too early.
 */
export async function* readTar(reader: ByteReader): AsyncIterable<TarEntry> {
  const global: PaxRecords = new Map();
  let extended: Extended = { pax: new Map(), longName: undefined, longLink: undefined };
  for (;;) {
    const block = await reader.exactly(BLOCK_BYTES);
    if (block.length > 0 && block.length < BLOCK_BYTES) throw tooEarly();
    const header = block.length === 0 ? undefined : decodeHeader(block);
    if (header === undefined) return;
    if (/[xgLK]/.test(header.type)) {
      const bytes = await readExtended(reader, header);
      extended = withExtended(extended, { type: header.type, bytes, global });
      continue;
    }
    const pax = new Map([...global, ...extended.pax]);
    const body = new Body(reader, Number(pax.get("size") ?? header.size));
    const described = describe(header, { ...extended, pax });
    const sparse = await sparsenessOf({ header, block, pax, reader, body });
    const size = sparse?.realSize ?? body.left;
    const segments = sparse?.segments ?? [{ offset: 0, bytes: size }];
    checkSegments(segments, size, body.left);
    yield { ...described, size, segments, body: () => body.read() };
    await body.finish();
    extended = { pax: new Map(), longName: undefined, longLink: undefined };
  }
}

/** The bytes of one entry. */
class Body {
  readonly #reader: ByteReader;
  readonly #padding: number;
  left: number;

  constructor(reader: ByteReader, size: number) {
    if (!Number.isSafeInteger(size) || size < 0) throw new TarError(`an entry of ${size} bytes`);
    this.#reader = reader;
    this.#padding = padding(size);
    this.left = size;
  }

  async *read(): AsyncIterable<Buffer> {
    while (this.left > 0) {
      const piece = await this.#reader.some(this.left);
      if (piece.length === 0) throw tooEarly();
      this.left -= piece.length;
      yield piece;
    }
  }

  async finish(): Promise<void> {
    const rest = this.left + this.#padding;
    if ((await this.#reader.skip(rest)) < rest) throw tooEarly();
  }
}

async function readExtended(reader: ByteReader, { size }: TarHeader): Promise<Buffer> {
  if (size < 0 || size > MOST_EXTENDED_BYTES) {
    throw new TarError(
      `an extended header of ${size} bytes: at most ${MOST_EXTENDED_BYTES} are taken`,
    );
  }
  const bytes = await reader.exactly(size + padding(size));
  if (bytes.length < size + padding(size)) throw tooEarly();
  return bytes.subarray(0, size);
}

/** What is known of the next entry, with one more header before it. */
function withExtended(
  extended: Extended,
  { type, bytes, global }: { type: string; bytes: Buffer; global: PaxRecords },
): Extended {
  if (type === "x") return { ...extended, pax: decodePax(bytes) };
  if (type === "g") {
    for (const [key, value] of decodePax(bytes)) global.set(key, value);
    return extended;
  }
  const name = bytes.toString("latin1").replace(/\0[^]*$/, "");
  return type === "L" ? { ...extended, longName: name } : { ...extended, longLink: name };
}

function describe(header: TarHeader, { pax, longName, longLink }: Extended) {
  const mtime = pax.get("mtime");
  return {
    path: pax.get("GNU.sparse.name") ?? pax.get("path") ?? longName ?? header.name,
    type: header.type === "S" || header.type === "7" ? "0" : header.type,
    mode: header.mode,
    uid: idOf(pax.get("uid")) ?? header.uid,
    gid: idOf(pax.get("gid")) ?? header.gid,
    modifiedNs: mtime === undefined ? BigInt(header.modifiedS) * NS_PER_S : fromPaxTime(mtime),
    linkPath: pax.get("linkpath") ?? longLink ?? header.linkName,
  };
}

function idOf(text: string | undefined): number | undefined {
  if (text === undefined || /^\d{1,10}$/.test(text))
    return text === undefined ? text : Number(text);
  throw new TarError(`${JSON.stringify(text)} is no owner`);
}

async function sparsenessOf({
  header,
  block,
  pax,
  reader,
  body,
}: {
  header: TarHeader;
  block: Buffer;
  pax: PaxRecords;
  reader: ByteReader;
  body: Body;
}): Promise<{ segments: Segment[]; realSize: number } | undefined> {
  if (header.type === "S") return await readOldSparseMap(block, reader);
  if (pax.get("GNU.sparse.major") === "1") {
    const { segments, mapBytes } = await readSparseMap(reader);
    body.left -= mapBytes;
    return { segments, realSize: Number(pax.get("GNU.sparse.realsize")) };
  }
  if (![...pax.keys()].some((key) => key.startsWith("GNU.sparse."))) return undefined;
  throw new TarError(
    "a sparse file in a format before GNU tar's 1.0: write it with --sparse-version=1.0",
  );
}

/** Segments lie in order within the file, and the bytes that follow are theirs. */
function checkSegments(segments: readonly Segment[], size: number, bytes: number): void {
  let end = 0;
  let sum = 0;
  for (const segment of segments) {
    const isInOrder = segment.offset >= end && segment.bytes >= 0;
    if (!isInOrder) throw new TarError("a sparse file has segments that overlap");
    end = segment.offset + segment.bytes;
    sum += segment.bytes;
  }
  if (Number.isSafeInteger(size) && end <= size && sum === bytes) return;
  throw new TarError("a sparse file has segments that are not in it");
}

function tooEarly(): TarError {
  return new TarError("the tar stream ends too early");
}
