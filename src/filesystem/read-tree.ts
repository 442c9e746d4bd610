import { AgentError } from "../errors.ts";
import { END_OF_TAR, encodeEntryHead, type TarEntryHead } from "../lib/tar-writer.ts";
import { packFile } from "./pack-file.ts";
import { fromRawPath, joinRawPath, type RawPath, toRawPath } from "./raw-path.ts";
import { resolveRoot } from "./tree-root.ts";
import { lookAt, type WalkedEntry, type WalkOptions, walkTree } from "./tree-walk.ts";

/** How many paths that could not be read are told by name. */
const MOST_SKIPPED = 100;

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
    yield* this.#pack(from === "" ? { ...entry, path: "." } : entry, options);
    if (!entry.stats.isDirectory()) return;
    for await (const below of walkTree({ ...options, from })) yield* this.#pack(below, options);
  }

  async *#one(name: RawPath, options: WalkOptions): AsyncIterable<Buffer> {
    const entry = await lookAt(name, options);
    if (entry !== undefined) yield* this.#pack(entry, options);
  }

  async *#pack(entry: WalkedEntry, { root }: WalkOptions): AsyncIterable<Buffer> {
    const { path, stats, linkTarget } = entry;
    const head = {
      path,
      mode: Number(stats.mode) & 0o7777,
      uid: Number(stats.uid),
      gid: Number(stats.gid),
      modifiedNs: stats.mtimeNs,
      bytes: 0,
    };
    if (stats.isDirectory()) yield this.#head({ ...head, type: "directory" });
    else if (linkTarget !== undefined) {
      yield this.#head({ ...head, type: "symlink", linkPath: linkTarget });
    } else if (stats.isFile()) {
      const first = this.#firstName(entry);
      if (first !== undefined) yield this.#head({ ...head, type: "hardLink", linkPath: first });
      else yield* this.#file({ ...head, type: "file" }, joinRawPath(root, path));
    } else this.#skip(path, "it is neither a file, a directory nor a link");
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
