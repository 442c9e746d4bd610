import { fchmod, fchown, lchown } from "node:fs";
import { link, lstat, rename, symlink, unlink } from "node:fs/promises";
import { promisify } from "node:util";
import { AgentError } from "../errors.ts";
import { Batch } from "../lib/batch.ts";
import { ByteReader } from "../lib/byte-reader.ts";
import { codeOf, messageOf } from "../lib/error-text.ts";
import { TarError } from "../lib/tar-header.ts";
import { readTar, type TarEntry } from "../lib/tar-reader.ts";
import { setModifiedTime, setModifiedTimeAt } from "../system/file-times.ts";
import type { User } from "../system/users.ts";
import { DirectoryPath } from "./directory-path.ts";
import { HeldDirectory } from "./held-directory.ts";
import type { InodeLocks } from "./inode-locks.ts";
import { makeParents } from "./parents.ts";
import { fromRawPath, type RawPath, toRawPath } from "./raw-path.ts";
import { isOutOfSpace } from "./space.ts";
import { unusedStagedName } from "./staged-name.ts";
import { unpackFile } from "./unpack-file.ts";

/** How many small files are written at once. */
const FILES_AT_ONCE = 8;
/** Up to how many bytes a file is taken whole before it is written. */
const SMALL_BYTES = 64 * 1024;
/** One more tells the kernel to leave the owner as it is. */
const LARGEST_ID = 2 ** 32 - 2;

const chmodFd = promisify(fchmod);
const chownFd = promisify(fchown);
const chownLink = promisify(lchown);

/** Where a tar stream goes, and how. */
export interface WriteTreeRequest {
  /** Absolute; made when it is missing. A link to a directory is followed. */
  path: string;
  /** Whether entries keep their numeric owners; else all belong to `user`. */
  keepsOwners: boolean;
  user: User;
  locks: InodeLocks;
  /** Ends it between two steps. */
  signal: AbortSignal;
}

/** What a tar stream held. */
export interface WrittenTree {
  entries: number;
  /** Of files, holes aside. */
  bytes: number;
}

/**
 * Unpacks a tar stream into a directory. Each file is staged and put in its place in one step, so
 * that it is the old one or the new one whatever happens. An entry that would leave the directory is
 * `invalid`, and so is what is no tar stream. The last of `bytes` is read before this resolves.
 */
export async function writeTree(
  request: WriteTreeRequest,
  bytes: AsyncIterable<Uint8Array>,
): Promise<WrittenTree> {
  try {
    const isNew = await makeRoot(request);
    await using writing = new TreeWriting(
      request,
      await HeldDirectory.open(toRawPath(request.path)),
      isNew,
    );
    const source = bytes[Symbol.asyncIterator]();
    const reader = new ByteReader(source);
    for await (const entry of readTar(reader)) {
      request.signal.throwIfAborted();
      await writing.add(entry);
    }
    // What pads the stream.
    await reader.skip(Number.POSITIVE_INFINITY);
    await writing.finish();
    return writing.written;
  } catch (cause) {
    throw treeError(cause, request.path);
  }
}

async function makeRoot({ path, user }: WriteTreeRequest): Promise<boolean> {
  const found = await lstat(path).catch(() => undefined);
  await makeParents(path, user).catch((cause: AgentError) => {
    throw cause.cause === undefined ? new AgentError("invalid", cause.message) : cause;
  });
  return found === undefined;
}

/** One stream on its way into a directory. */
class TreeWriting implements AsyncDisposable {
  readonly written: WrittenTree = { entries: 0, bytes: 0 };
  readonly #request: WriteTreeRequest;
  readonly #way: DirectoryPath;
  /** Whether the root is this stream's, with its mode and time. */
  readonly #ownsRoot: boolean;
  readonly #small = new Batch(FILES_AT_ONCE);
  /** The directory that the small files are in. */
  #place: RawPath | undefined;
  /** Mode and time of directories, set when nothing changes in them any more. */
  readonly #directories = new Map<RawPath, { names: RawPath[]; entry: TarEntry }>();

  constructor(request: WriteTreeRequest, root: HeldDirectory, ownsRoot: boolean) {
    this.#request = request;
    this.#ownsRoot = ownsRoot;
    this.#way = new DirectoryPath(root, request.user);
  }

  async add(entry: TarEntry): Promise<void> {
    const names = namesOf(entry.path);
    const name = names.at(-1);
    this.written.entries += 1;
    if (entry.type !== "0") await this.#small.settle();
    if (entry.type === "5") {
      const directory = await this.#way.enter(names);
      if (name === undefined && !this.#ownsRoot) return;
      await chownFd(directory.fd, ...this.#owner(entry));
      this.#directories.set(names.join("/"), { names, entry });
      return;
    }
    if (name === undefined) throw refused(entry.path, "it names no file");
    const parents = names.slice(0, -1);
    if (entry.type === "0") await this.#addFile(entry, parents, name);
    else if (entry.type === "2")
      await this.#addSymlink(entry, await this.#way.enter(parents), name);
    else if (entry.type === "1") await this.#addHardLink(entry, parents, name);
    else throw refused(entry.path, "it is neither a file, a directory nor a link");
  }

  /** Gives directories their modes and times, the deepest first. */
  async finish(): Promise<void> {
    await this.#small.settle();
    for (const { names, entry } of [...this.#directories.values()].toReversed()) {
      const directory = await this.#way.enter(names, false);
      await chmodFd(directory.fd, entry.mode);
      setModifiedTime(directory.fd, entry.modifiedNs);
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    // Told already, by what has failed before.
    await this.#small.settle().catch(() => {});
    await this.#way[Symbol.asyncDispose]();
  }

  /** Small files of one directory are written several at once. */
  async #addFile(entry: TarEntry, parents: RawPath[], name: RawPath): Promise<void> {
    const place = parents.join("/");
    const isSmall = entry.size <= SMALL_BYTES;
    if (!isSmall || place !== this.#place) await this.#small.settle();
    this.#place = place;
    const directory = await this.#way.enter(parents);
    const { user, locks, signal } = this.#request;
    const [uid, gid] = this.#owner(entry);
    const { mode, modifiedNs } = entry;
    const attributes = { mode, uid, gid, modifiedNs };
    const unpacking = { entry, directory, name, attributes, user, locks, signal };
    const unpack = async (one: TarEntry) => {
      const bytes = await unpackFile({ ...unpacking, entry: one });
      this.written.bytes += bytes;
    };
    if (!isSmall) await unpack(entry);
    else {
      const whole = await held(entry);
      await this.#small.add(name, () => unpack(whole));
    }
  }

  async #addSymlink(entry: TarEntry, directory: HeldDirectory, name: RawPath): Promise<void> {
    const leadsNowhere = entry.linkPath === "" || entry.linkPath.includes("\0");
    if (leadsNowhere) throw refused(entry.path, "it is a link that no system makes");
    await replace(directory, name, async (staged) => {
      await symlink(Buffer.from(entry.linkPath, "latin1"), staged);
      await chownLink(staged, ...this.#owner(entry));
      setModifiedTimeAt(staged, entry.modifiedNs);
    });
  }

  /** Another name of a file below the root, which may be there since before. */
  async #addHardLink(entry: TarEntry, parents: RawPath[], name: RawPath): Promise<void> {
    const source = namesOf(entry.linkPath);
    const sourceName = source.pop();
    if (sourceName === undefined) throw refused(entry.path, "it is a link to a directory");
    // Two ways at once: the one to the source is walked anew from the root.
    const directory = await this.#way.enter(parents);
    await using away = await this.#way.another();
    const from = await away.enter(source, false);
    await replace(directory, name, (staged) => link(from.pathOf(sourceName), staged));
  }

  #owner({ path, uid, gid }: TarEntry): [number, number] {
    const { keepsOwners, user } = this.#request;
    if (!keepsOwners) return [user.uid, user.gid];
    const isPossible = Math.min(uid, gid) >= 0 && Math.max(uid, gid) <= LARGEST_ID;
    if (!isPossible) throw refused(path, `no system has the owner ${uid}:${gid}`);
    return [uid, gid];
  }
}

/** The same entry, with its bytes in memory. */
async function held(entry: TarEntry): Promise<TarEntry> {
  const pieces: Buffer[] = [];
  for await (const piece of entry.body()) pieces.push(piece);
  return {
    ...entry,
    async *body() {
      yield* pieces;
    },
  };
}

/** Makes something beside its place, and puts it there in one step. */
async function replace(
  directory: HeldDirectory,
  name: RawPath,
  make: (staged: string | Buffer) => Promise<void>,
): Promise<void> {
  const staged = directory.pathOf(unusedStagedName());
  try {
    await make(staged);
    await rename(staged, directory.pathOf(name));
  } finally {
    // Two names of one file are not renamed to each other, and both stay.
    await unlink(staged).catch(() => {});
  }
}

/** The parts of a path below the root. Throws `invalid` for one that would leave it. */
function namesOf(path: RawPath): RawPath[] {
  if (path.startsWith("/")) throw refused(path, "it is absolute");
  const names = path.split("/").filter((name) => name !== "" && name !== ".");
  if (names.includes("..")) throw refused(path, "it leads out of the directory by ..");
  if (path.includes("\0")) throw refused(path, "it has a NUL byte");
  return names;
}

function refused(path: RawPath, reason: string): AgentError {
  const shown = JSON.stringify(fromRawPath(path));
  return new AgentError("invalid", `entry ${shown} cannot be unpacked: ${reason}`);
}

function treeError(cause: unknown, path: string): unknown {
  if (cause instanceof AgentError) return cause;
  if (cause instanceof TarError) return new AgentError("invalid", cause.message, { cause });
  if (isOutOfSpace(cause)) {
    return new AgentError("exhausted", `not enough disk space: ${path}`, { cause });
  }
  const code = codeOf(cause);
  if (code === undefined || code.startsWith("ERR_") || code === "ABORT_ERR") return cause;
  const isMisplaced = /^(EISDIR|ENOTDIR|ENOTEMPTY|EEXIST|ENAMETOOLONG|ELOOP)$/.test(code);
  const message = `cannot write below ${path}: ${messageOf(cause)}`;
  return new AgentError(isMisplaced ? "invalid" : "internal", message, { cause });
}
