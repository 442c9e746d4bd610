import { AgentError } from "../errors.ts";
import { ahead } from "../lib/ahead.ts";
import { END_OF_TAR, encodeEntryHead, type TarEntryHead } from "../lib/tar-writer.ts";
import { packFile } from "./pack-file.ts";
import { fromRawPath, joinRawPath, type RawPath, toRawPath } from "./raw-path.ts";
import { resolveRoot } from "./tree-root.ts";
import { lookAt, type WalkedEntry, type WalkOptions, walkTree } from "./tree-walk.ts";

/** How many paths that could not be read are told by name. */
const MOST_SKIPPED = 100;
/** How many entries are got ready before it is their turn: opening a file takes a while. */
const FILES_AHEAD = 16;
/** Up to how many bytes a file is read before it is its turn. */
const SMALL_BYTES = 64n * 1024n;

/** What an entry is in the stream. */
type Pieces = Iterable<Buffer> | AsyncIterable<Buffer>;

/** What to read. */
export interface ReadTreeRequest {
  /** Absolute: a directory, or a single file. Links to it are followed, those below it are not. */
  path: string;
  /** Only these, relative to it, each with all that is below; empty: everything. */
  include: readonly string[];
}

/** A directory as a tar stream. */
export class TreeReading {
  readonly #request: ReadTreeRequest;
  readonly #signal: AbortSignal;
  /** The path of each file with several names that was sent already. */
  readonly #names = new Map<string, RawPath>();
  /** What could not be read, with the reason, at most 100. */
  readonly skipped: string[] = [];
  /** How many entries were sent. */
  entries = 0;

  constructor(request: ReadTreeRequest, signal: AbortSignal) {
    this.#request = request;
    this.#signal = signal;
  }

  /** The bytes of the stream, in pieces, each valid until the next is asked for. */
  async *bytes(): AsyncIterable<Buffer> {
    const { path, include } = this.#request;
    const { root, isFile } = await resolveRoot(path, true);
    const cut = root.lastIndexOf("/");
    const options = {
      root: isFile ? root.slice(0, cut) || "/" : root,
      onSkipped: (at: RawPath, reason: string) => this.#skip(at, reason),
      signal: this.#signal,
    };
    if (isFile) yield* this.#one(root.slice(cut + 1), options);
    else if (include.length === 0) yield* this.#whole("", options);
    else for (const one of include) yield* this.#whole(await checked(one, options), options);
    yield END_OF_TAR;
  }

  /** What is at `from`, and all that is below it. */
  async *#whole(from: RawPath, options: WalkOptions): AsyncIterable<Buffer> {
    const entry = await lookAt(from, options);
    if (entry === undefined) {
      this.#skip(from, "it is not there");
      return;
    }
    yield* await this.#pack(from === "" ? { ...entry, path: "." } : entry, options);
    if (!entry.stats.isDirectory()) return;
    const below = walkTree({ ...options, from });
    const packed = ahead(below, FILES_AHEAD, (one) => this.#pack(one, options));
    for await (const pieces of packed) yield* pieces;
  }

  async *#one(name: RawPath, options: WalkOptions): AsyncIterable<Buffer> {
    const entry = await lookAt(name, options);
    if (entry !== undefined) yield* await this.#pack(entry, options);
  }

  /** A small file is read at once; the others while they are sent. */
  async #pack(entry: WalkedEntry, { root }: WalkOptions): Promise<Pieces> {
    const { path, stats, linkTarget } = entry;
    const head = {
      path,
      mode: Number(stats.mode) & 0o7777,
      uid: Number(stats.uid),
      gid: Number(stats.gid),
      modifiedNs: stats.mtimeNs,
      bytes: 0,
    };
    if (stats.isDirectory()) return [this.#head({ ...head, type: "directory" })];
    if (linkTarget !== undefined) {
      return [this.#head({ ...head, type: "symlink", linkPath: linkTarget })];
    }
    if (!stats.isFile()) {
      this.#skip(path, "it is neither a file, a directory nor a link");
      return [];
    }
    const first = this.#firstName(entry);
    if (first !== undefined) return [this.#head({ ...head, type: "hardLink", linkPath: first })];
    if (stats.size === 0n) return [this.#head({ ...head, type: "file" })];
    const pieces = this.#file({ ...head, type: "file" }, joinRawPath(root, path));
    return stats.size <= SMALL_BYTES ? await collect(pieces) : pieces;
  }

  async *#file(head: TarEntryHead, path: RawPath): AsyncIterable<Buffer> {
    const onSkipped = (reason: string) => this.#skip(head.path, reason);
    for await (const piece of packFile({ head, path, onSkipped, signal: this.#signal })) {
      // The first piece is the head.
      if (piece.isHead) this.entries += 1;
      yield piece.bytes;
    }
  }

  #head(head: TarEntryHead): Buffer {
    this.entries += 1;
    return encodeEntryHead(head);
  }

  /** The path that a file was sent under already, if it has several. */
  #firstName({ path, stats }: WalkedEntry): RawPath | undefined {
    if (stats.nlink < 2n) return undefined;
    const key = `${stats.dev}:${stats.ino}`;
    const first = this.#names.get(key);
    if (first === undefined) this.#names.set(key, path);
    return first;
  }

  #skip(path: RawPath, reason: string): void {
    if (this.skipped.length < MOST_SKIPPED) this.skipped.push(`${fromRawPath(path)}: ${reason}`);
  }
}

async function collect(pieces: AsyncIterable<Buffer>): Promise<Buffer[]> {
  const collected: Buffer[] = [];
  // Each is valid until the next only.
  for await (const piece of pieces) collected.push(Buffer.from(piece));
  return collected;
}

/** A path that stays below the root, and leads through no link. */
async function checked(path: string, options: WalkOptions): Promise<RawPath> {
  const parts = path.split("/").filter((part) => part !== "" && part !== ".");
  if (path.startsWith("/") || parts.includes("..") || path.includes("\0")) {
    const rule = "give a path below the directory, without ..";
    throw new AgentError("invalid", `include has ${JSON.stringify(path)}: ${rule}`);
  }
  const raw = toRawPath(parts.join("/"));
  for (let at = raw.indexOf("/"); at >= 0; at = raw.indexOf("/", at + 1)) {
    const parent = await lookAt(raw.slice(0, at), options);
    if (parent?.linkTarget === undefined) continue;
    throw new AgentError(
      "invalid",
      `include has ${JSON.stringify(path)}, which leads through a link`,
    );
  }
  return raw;
}
