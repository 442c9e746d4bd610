import { constants, fstat, open } from "node:fs";
import { promisify } from "node:util";
import { codeOf, messageOf } from "../lib/error-text.ts";
import { encodeSparseMap, padding } from "../lib/tar-sparse.ts";
import { encodeEntryHead, type TarEntryHead } from "../lib/tar-writer.ts";
import { findSegments } from "../system/file-segments.ts";
import { readAt } from "./copy.ts";
import { type RawPath, systemPath } from "./raw-path.ts";
import { closeFd } from "./upload-target.ts";

const READ_BYTES = 256 * 1024;
/** A file with more is sent with its holes filled. */
const MOST_SEGMENTS = 100_000;

const openFd = promisify(open);
const statFd = promisify(fstat);

/** A file for a tar stream. */
export interface PackRequest {
  /** How it is described; length and kind of content are found out. */
  head: TarEntryHead;
  path: RawPath;
  /** Told when it cannot be read, or not to its end. */
  onSkipped: (reason: string) => void;
  /** Ends it. */
  signal: AbortSignal;
}

/**
 * A file as an entry of a tar stream: its head, then its bytes without the holes. Nothing when it
 * cannot be opened. One that cannot be read to its end is filled with zeros, and told.
 */
export async function* packFile({
  head,
  path,
  onSkipped,
  signal,
}: PackRequest): AsyncIterable<{ bytes: Buffer; isHead: boolean }> {
  const flags = constants.O_RDONLY | constants.O_NONBLOCK | constants.O_NOFOLLOW;
  const fd = await openFd(systemPath(path), flags).catch((cause: unknown) => {
    if (codeOf(cause) === undefined) throw cause;
    onSkipped(messageOf(cause));
  });
  if (fd === undefined) return;
  try {
    const { size, blocks } = await statFd(fd);
    const isSparse = blocks * 512 < size;
    const segments = isSparse ? await findSegments(fd, size, MOST_SEGMENTS) : [];
    const dataBytes = isSparse ? segments.reduce((sum, { bytes }) => sum + bytes, 0) : size;
    const map = isSparse && dataBytes < size ? encodeSparseMap(segments, size) : undefined;
    const bytes = dataBytes + (map?.length ?? 0);
    const full = map === undefined ? { ...head, bytes } : { ...head, bytes, realSize: size };
    yield { bytes: encodeEntryHead(full), isHead: true };
    if (map !== undefined) yield { bytes: map, isHead: false };
    const parts = map === undefined ? [{ offset: 0, bytes: size }] : segments;
    const content = new Content(fd, dataBytes);
    for (const segment of parts) {
      for (let done = 0; done < segment.bytes; ) {
        signal.throwIfAborted();
        const piece = await content.read(segment.offset + done, segment.bytes - done);
        done += piece.length;
        yield { bytes: piece, isHead: false };
      }
    }
    if (content.problem !== undefined) onSkipped(content.problem);
    if (padding(bytes) > 0) yield { bytes: Buffer.alloc(padding(bytes)), isHead: false };
  } finally {
    await closeFd(fd);
  }
}

/** The bytes of a file that may change while it is read. */
class Content {
  /** Why it could not be read to its end. */
  problem: string | undefined;
  readonly #fd: number;
  readonly #buffer: Buffer;

  constructor(fd: number, bytes: number) {
    this.#fd = fd;
    this.#buffer = Buffer.allocUnsafeSlow(Math.max(1, Math.min(READ_BYTES, bytes)));
  }

  /** Some of the bytes wanted, valid until the next call; zeros for what cannot be read. */
  async read(position: number, bytes: number): Promise<Buffer> {
    const wanted = this.#buffer.subarray(0, bytes);
    const count = await readAt(this.#fd, wanted, position).catch((cause: unknown) => {
      this.problem = messageOf(cause);
      return 0;
    });
    if (count > 0) return wanted.subarray(0, count);
    this.problem ??= "it became shorter while it was read";
    return wanted.fill(0);
  }
}
