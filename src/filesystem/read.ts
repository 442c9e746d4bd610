import {
  close,
  closeSync,
  constants,
  fstat,
  fstatSync,
  open,
  read,
  type Stats,
  stat,
} from "node:fs";
import { promisify } from "node:util";
import { AgentError } from "../errors.ts";
import { specialKind } from "./file-kind.ts";

/** Bytes a read asks for at a time: below, every read costs more than it brings. */
const CHUNK_BYTES = 1024 * 1024;
/** Up to here, one chunk is held at a time and none read ahead. */
const LITTLE_BYTES = 16 * 1024;
const NOTHING = Buffer.alloc(0);
/** A file of up to this size is read at once on opening, and needs no other read. */
const SMALL_FILE_BYTES = 64 * 1024;
/** What is read on opening a larger one: its type shows, and a crowd that then stops costs little. */
const HEAD_BYTES = 4 * 1024;
/** The most that is read from a file of the kernel, which has no size of its own. */
const LARGEST_SIZELESS = 4 * 1024 * 1024;

const openFd = promisify(open);
const closeFd = promisify(close);
const statFd = promisify(fstat);
const statPath = promisify(stat);

/**
 * Looks at the file to be served, following links. Nothing there is `not-found`, anything but a
 * regular file is `invalid` and said to be what it is.
 */
export async function lookAtFile(path: string): Promise<Stats> {
  const stats = await statPath(path).catch((cause: NodeJS.ErrnoException) => {
    if (cause.code === "ENOENT") {
      throw new AgentError("not-found", `path '${path}' does not exist`, { cause });
    }
    const code = cause.code === "ERR_INVALID_ARG_VALUE" ? "invalid" : "internal";
    const message = `error checking if path exists '${path}': ${cause.message}`;
    throw new AgentError(code, message, { cause });
  });
  refuseSpecial(path, stats);
  return stats;
}

/**
 * Opens the regular file at `path` and reads its head. `stats` is what `lookAtFile` said; what is
 * opened is looked at again, and is never waited for.
 */
export async function openFile(path: string, stats: Stats): Promise<OpenFile> {
  const failed = (cause: Error) => {
    throw new AgentError("internal", `error opening file '${path}': ${cause.message}`, { cause });
  };
  const flags = constants.O_RDONLY | constants.O_NONBLOCK | constants.O_NOCTTY;
  const fd = await openFd(path, flags).catch(failed);
  try {
    const opened = isOnDisk(stats) ? fstatSync(fd) : await statFd(fd);
    refuseSpecial(path, opened);
    const head = await readHead(fd, opened.size);
    // Where the head holds everything, it knows the size better than any earlier look.
    const size = head.isWhole ? head.bytes.length : opened.size;
    return new OpenFile(fd, { size, stats: opened, head: head.bytes });
  } catch (cause) {
    await closeFd(fd);
    if (cause instanceof AgentError) throw cause;
    return failed(cause as Error);
  }
}

/** A regular file open for reading. */
export class OpenFile implements AsyncDisposable {
  readonly size: number;
  readonly modifiedMs: number;
  /** How the file begins; all of it when it is small. */
  head: Buffer;
  readonly #fd: number;

  readonly #isOnDisk: boolean;

  constructor(fd: number, about: { size: number; stats: Stats; head: Buffer }) {
    this.#fd = fd;
    this.#isOnDisk = isOnDisk(about.stats);
    this.size = about.size;
    this.modifiedMs = about.stats.mtimeMs;
    this.head = about.head;
  }

  /**
   * Gives the bytes from `start` up to `end` to `use`, one chunk after the other, while the next
   * is being read. A chunk is only valid until `use` resolves. A file that has become shorter
   * ends in `wrong-state`. `wantedBytes`: how much to read next, at most; default 1 MiB.
   */
  async forEachChunk(
    range: { start: number; end: number },
    use: (chunk: Buffer) => Promise<void>,
    wantedBytes: () => number = () => CHUNK_BYTES,
  ): Promise<void> {
    let position = Math.min(range.end, Math.max(range.start, this.head.length));
    let spare: Buffer | undefined;
    const room = () => {
      const bytes = Math.min(wantedBytes(), range.end - position);
      return spare !== undefined && spare.length === Math.min(bytes, CHUNK_BYTES)
        ? spare
        : allocate(bytes);
    };
    const read = () => this.#fill(room(), position, range.end);
    let next: Promise<Buffer> | undefined = read();
    try {
      if (range.start < position) await use(this.head.subarray(range.start, position));
      // Whoever is slow from here on holds no more than it must.
      this.head = NOTHING;
      while (position < range.end) {
        const chunk = await (next ?? read());
        position += chunk.length;
        // Who takes little has nothing from a chunk that waits.
        next = wantedBytes() > LITTLE_BYTES ? read() : undefined;
        await use(chunk);
        spare = Buffer.from(chunk.buffer);
      }
    } finally {
      // A descriptor must not be closed, and so given to others, under a running read.
      await next?.catch(() => {});
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    if (this.#isOnDisk) closeSync(this.#fd);
    else await closeFd(this.#fd);
  }

  #fill(buffer: Buffer, position: number, end: number): Promise<Buffer> {
    const filled = readFully(this.#fd, buffer.subarray(0, end - position), position).then(
      (length) => {
        if (length < Math.min(buffer.length, end - position)) {
          throw new AgentError("wrong-state", "the file became shorter while it was read");
        }
        return buffer.subarray(0, length);
      },
    );
    // Awaited later, or not at all: until then a failure is nobody's.
    filled.catch(() => {});
    return filled;
  }
}

/** A chunk for so many bytes at most. Not from the pool, so that it can be taken up again. */
function allocate(bytes: number): Buffer {
  return Buffer.allocUnsafeSlow(Math.min(CHUNK_BYTES, Math.max(0, bytes)));
}

/** Reads the first bytes; `isWhole` when the file ends with them. */
async function readHead(fd: number, size: number): Promise<{ bytes: Buffer; isWhole: boolean }> {
  const bytes = size === 0 ? SMALL_FILE_BYTES : size > SMALL_FILE_BYTES ? HEAD_BYTES : size;
  const buffer = Buffer.allocUnsafe(bytes);
  const length = await readFully(fd, buffer, 0);
  const head = buffer.subarray(0, length);
  if (length < buffer.length || length === size) return { bytes: head, isWhole: true };
  return size === 0 ? readSizeless(fd, head) : { bytes: head, isWhole: false };
}

/** The kernel's own files say they are empty, and have no end one could look up. */
async function readSizeless(fd: number, head: Buffer): Promise<{ bytes: Buffer; isWhole: true }> {
  const rest = Buffer.allocUnsafe(LARGEST_SIZELESS);
  const length = await readFully(fd, rest, head.length);
  if (length === rest.length) throw new Error(`it has no size and more than ${length} bytes`);
  return { bytes: Buffer.concat([head, rest.subarray(0, length)]), isWhole: true };
}

/** Reads until `buffer` is full or the file ends. */
async function readFully(fd: number, buffer: Buffer, position: number): Promise<number> {
  let length = 0;
  while (length < buffer.length) {
    const count = await readOnce(fd, buffer.subarray(length), position + length);
    if (count === 0) break;
    length += count;
  }
  return length;
}

function readOnce(fd: number, buffer: Buffer, position: number): Promise<number> {
  return new Promise((resolve, reject) => {
    read(fd, buffer, 0, buffer.length, position, (error, count) =>
      error === null ? resolve(count) : reject(error),
    );
  });
}

/**
 * Whether the file is on a filesystem of a local disk, which answers what it knows about an open
 * file at once: going to the thread pool for that takes longer than the rest of a small file.
 * Network filesystems, which may hang, have no device and so no major number.
 */
function isOnDisk({ dev }: Stats): boolean {
  return ((dev >>> 8) & 0xfff) !== 0;
}

function refuseSpecial(path: string, stats: Stats): void {
  const kind = specialKind(stats);
  if (kind !== undefined) throw new AgentError("invalid", `path '${path}' is a ${kind}`);
}
