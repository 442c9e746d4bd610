import { createHash } from "node:crypto";
import type { Client } from "@connectrpc/connect";
import type { EntryInfo, Filesystem } from "../../gen/filesystem/filesystem_pb.js";
import { type Copied, copyIn, copyOut } from "./copy/copy.ts";
import type { CopyOptions } from "./copy/copying.ts";
import { DirectoryWatch, type WatchOptions } from "./directory-watch.ts";
import { Download, type Downloaded, type DownloadOptions } from "./download.ts";
import { asGuestError, GuestError } from "./errors.ts";
import { checked, fileParts, filesPath } from "./file-parts.ts";
import { type PatienceOptions, withSignal } from "./patience.ts";
import type { PlainHttp } from "./plain-http.ts";
import { type ListTreeOptions, type TreePath, Trees } from "./trees.ts";
import { type Uploaded, type UploadOptions, upload } from "./upload.ts";
import { openSource, type UploadContent } from "./upload-sources.ts";

/** What the guest's files are reached by. */
export interface FilesParts {
  unary: Client<typeof Filesystem>;
  streaming: Client<typeof Filesystem>;
  plain: PlainHttp;
  headersMs: number;
  /** Whether calls can stream what they send: proxies may hold it back over HTTP/1. */
  canStreamUp: boolean;
}

/** The guest's files. Paths that are not absolute begin at the user's home. */
export class GuestFiles {
  readonly #client: Client<typeof Filesystem>;
  readonly #parts: FilesParts;
  readonly #plain: PlainHttp;
  readonly #headersMs: number;
  readonly #trees: Trees;

  constructor(parts: FilesParts) {
    this.#parts = parts;
    this.#client = parts.unary;
    this.#plain = parts.plain;
    this.#headersMs = parts.headersMs;
    this.#trees = new Trees(parts.streaming);
  }

  /**
   * Gives a file of the guest this content: a local file's, bytes, or what `content()` yields, which
   * is read from the beginning again after a cut. Goes on by itself when it is cut off; the file is
   * the old one or the new one, checked by its SHA-256.
   */
  async upload(
    content: UploadContent,
    path: string,
    options: UploadOptions = {},
  ): Promise<Uploaded> {
    options.signal?.throwIfAborted();
    const { unary, streaming, canStreamUp } = this.#parts;
    await using source = await openSource(content);
    // A stream of the caller's may be slower than a guest waits for more within one call.
    const isReady = source.size !== undefined;
    return await upload({
      ...options,
      unary,
      streaming: canStreamUp && isReady ? streaming : undefined,
      path,
      source,
      hasher: createHash("sha256"),
    });
  }

  /**
   * Brings a file of the guest to a local path. Goes on by itself when it is cut off, and where an
   * earlier run of the same version was left: a part waits beside the place. It is put there when its
   * SHA-256 is right.
   */
  async download(
    path: string,
    localPath: string,
    options: DownloadOptions = {},
  ): Promise<Downloaded> {
    return await new Download(this.#parts.streaming, path, localPath, options).run();
  }

  /**
   * Makes `path` in the guest as a local file or directory is: content, modes, times and links, not
   * owners. Of a directory only what is different is sent. Goes on by itself when it is cut off, and
   * where an earlier run was left. Each file is the old one or the new one.
   */
  copyIn(localPath: string, path: string, options: CopyOptions = {}): Promise<Copied> {
    return copyIn({ files: this, local: localPath, remote: path, options });
  }

  /** The same the other way. The guest is not trusted: nothing is written outside of `localPath`. */
  copyOut(path: string, localPath: string, options: CopyOptions = {}): Promise<Copied> {
    return copyOut({ files: this, local: localPath, remote: path, options });
  }

  /** The whole content of a file. */
  async read(path: string, signal?: AbortSignal): Promise<Buffer> {
    const request = { path: filesPath(path), headersMs: this.#headersMs, signal };
    return checked(path, await this.#plain.request(request)).body;
  }

  /**
   * The content of a file as it comes. Goes on where it is cut off; throws `wrong-state` when the file
   * has changed until then.
   */
  readParts(path: string, options: PatienceOptions = {}): AsyncGenerator<Buffer> {
    const { plain, headersMs } = this.#parts;
    return fileParts({ plain, path, headersMs, options });
  }

  /** Gives a file this content: it is the old one or the new one, and never a mix. */
  async write(path: string, content: string | Uint8Array, signal?: AbortSignal): Promise<void> {
    const answer = await this.#plain.request({
      method: "POST",
      path: filesPath(path),
      body: content,
      headers: { "content-type": "application/octet-stream" },
      headersMs: this.#headersMs,
      signal,
    });
    checked(path, answer);
  }

  /** What is in a directory. */
  async list(path: string, signal?: AbortSignal): Promise<EntryInfo[]> {
    const list = () => this.#client.listDir({ path, depth: 1 }, withSignal(signal));
    return (await asGuestError(list, signal)).entries;
  }

  /** What is at a path. Throws `not-found`. */
  async stat(path: string, signal?: AbortSignal): Promise<EntryInfo> {
    const stat = () => this.#client.stat({ path }, withSignal(signal));
    const { entry } = await asGuestError(stat, signal);
    if (entry === undefined) throw new GuestError("failed", `${path}: the guest told nothing`);
    return entry;
  }

  /** Makes a directory and its missing parents. Throws `already-exists`. */
  async makeDir(path: string, signal?: AbortSignal): Promise<void> {
    await asGuestError(() => this.#client.makeDir({ path }, withSignal(signal)), signal);
  }

  /** Renames a path, replacing a file or an empty directory at the destination. */
  async move(source: string, destination: string, signal?: AbortSignal): Promise<void> {
    const move = () => this.#client.move({ source, destination }, withSignal(signal));
    await asGuestError(move, signal);
  }

  /** All that is below a directory, parents before children; `withSha256` has every file read. */
  listTree(
    path: string,
    { withSha256 = false, ...options }: ListTreeOptions & { withSha256?: boolean } = {},
  ): Promise<TreePath[]> {
    return this.#trees.list(path, withSha256, options);
  }

  /**
   * A directory as a tar stream, or of it what `include` names. A stream that is cut off is not gone
   * on with, but throws `unreachable`: `copyOut` goes on. The generator returns what could not be read, with the reason.
   */
  readTree(
    path: string,
    {
      include = [],
      signal,
    }: { include?: readonly string[] | undefined; signal?: AbortSignal | undefined } = {},
  ): AsyncGenerator<Uint8Array, string[]> {
    return this.#trees.read(path, include, signal);
  }

  /**
   * Unpacks a tar stream into a directory, which is made when it is missing. `keepOwners`: entries
   * keep their numeric owners. A stream that is cut off is not gone on with: `copyIn` goes on. Each
   * file is the old one or the new one all the same.
   */
  writeTree(
    path: string,
    tar: AsyncIterable<Uint8Array>,
    {
      keepOwners = false,
      signal,
    }: { keepOwners?: boolean | undefined; signal?: AbortSignal | undefined } = {},
  ): Promise<{ entries: number; bytes: number }> {
    return this.#trees.write(path, tar, { keepOwners, signal });
  }

  /** Watches a directory from now on, across cuts. Resolves once the watch is armed. */
  watch(path: string, options: WatchOptions = {}): Promise<DirectoryWatch> {
    return DirectoryWatch.begin(this.#parts.streaming, path, options);
  }

  /** Removes what is at a path, directories with all that is in them. */
  async remove(path: string, signal?: AbortSignal): Promise<void> {
    await asGuestError(() => this.#client.remove({ path }, withSignal(signal)), signal);
  }
}
