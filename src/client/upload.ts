import type { MessageInitShape } from "@bufbuild/protobuf";
import { timestampFromDate } from "@bufbuild/protobuf/wkt";
import type { Client } from "@connectrpc/connect";
import type {
  CommitUploadResponse,
  Filesystem,
  WriteFileRequestSchema,
} from "../../gen/filesystem/filesystem_pb.js";
import { GuestError, isCut, toCut, toGuestError } from "./errors.ts";
import { Patience, type PatienceOptions, withSignal } from "./patience.ts";
import { randomId } from "./random-id.ts";
import { Taking } from "./taking.ts";

const FIRST_CHUNK_BYTES = 256 * 1024;
const LEAST_CHUNK_BYTES = 16 * 1024;
/**
 * Requests above 1 MiB are refused by proxies in their usual configuration. With what is around it a
 * chunk fits into half of that: the encoder takes the next power of two.
 */
const MOST_CHUNK_BYTES = 512 * 1024 - 128;
/** How much is read at once for the checksum alone. */
const HASHED_BYTES = 1024 * 1024;
/** How long one chunk may take, in ms; a smaller one is sent then. */
const CHUNK_MS = 15_000;
/** How long a commit may take, in ms: a large file is written down then. */
const COMMIT_MS = 60_000;

/** What is sent. */
export interface UploadSource {
  /** In bytes; absent when it is not known before the end. */
  size?: number | undefined;
  /**
   * At most `length` bytes from `offset` on; none at the end. Called for one place after the other,
   * and again for an earlier one after a cut. What it gives holds until the next call.
   */
  read(offset: number, length: number): Promise<Uint8Array>;
}

/** A SHA-256 in the making. */
export interface Hasher {
  update(bytes: Uint8Array): unknown;
  digest(): Uint8Array;
}

/** How a file is sent. */
export interface UploadOptions extends PatienceOptions {
  /** Permission bits. Default: those of the file that is replaced, or 0644. */
  mode?: number | undefined;
  /** When the content last changed. Default: when it is put in its place. */
  modifiedAt?: Date | undefined;
  /**
   * What the guest knows this upload by, at most 128 of A-Z, a-z, 0-9, `-` and `_`: a later run with
   * the same content goes on where this one was left. Default: a random one, forgotten on failure.
   */
  uploadId?: string | undefined;
  /** Told how much is under way or there, and how much it is if that is known. */
  onProgress?: ((done: number, total: number | undefined) => void) | undefined;
}

/** What an upload is made of. */
export interface UploadParts extends UploadOptions {
  /** For the calls that have an end of their own. */
  unary: Client<typeof Filesystem>;
  /** Sends all in one call, if given; else in a call for each chunk, as pages have to. */
  streaming?: Client<typeof Filesystem> | undefined;
  path: string;
  source: UploadSource;
  hasher: Hasher;
}

/** What was written. */
export interface Uploaded {
  bytes: number;
  sha256: Uint8Array;
  /** Whether the file was put in its place in one step. */
  isAtomic: boolean;
}

/**
 * Gives a file of the guest this content, however often it is cut off on the way: it is the old one
 * or the new one, checked by its SHA-256. Throws a `GuestError`.
 */
export async function upload(parts: UploadParts): Promise<Uploaded> {
  return await new Upload(parts).run();
}

type Sent = MessageInitShape<typeof WriteFileRequestSchema>;

class Upload {
  readonly #parts: UploadParts;
  readonly #id: string;
  readonly #patience: Patience;
  #chunkBytes = FIRST_CHUNK_BYTES;
  /** How far it was sent, how much of that the guest had when it was asked, and how far it was read. */
  #offset = 0;
  #arrived = 0;
  #hashed = 0;
  /** What went wrong on this side. */
  #localFailure: GuestError | undefined;
  /** Of all, once all was read. */
  #sum: Uint8Array<ArrayBuffer> | undefined;

  constructor(parts: UploadParts) {
    this.#parts = parts;
    this.#id = parts.uploadId ?? randomId();
    this.#patience = new Patience(parts);
  }

  async run(): Promise<Uploaded> {
    try {
      for (;;) {
        this.#parts.signal?.throwIfAborted();
        try {
          return await this.#attempt();
        } catch (reason) {
          await this.#afterFailure(reason);
        }
      }
    } catch (failure) {
      if (this.#parts.uploadId !== undefined) throw failure;
      // What has arrived is of no use any more.
      const forgetting = { timeoutMs: CHUNK_MS };
      this.#parts.unary.cancelUpload({ uploadId: this.#id }, forgetting).catch(() => {});
      throw failure;
    }
  }

  async #afterFailure(reason: unknown): Promise<void> {
    this.#parts.signal?.throwIfAborted();
    if (this.#localFailure !== undefined) throw this.#localFailure;
    if (!isCut(reason)) throw toGuestError(reason);
    // Half a chunk is none: on a slow way smaller ones arrive.
    this.#chunkBytes = Math.max(LEAST_CHUNK_BYTES, this.#chunkBytes / 2);
    await this.#patience.afterCut(toCut(reason));
  }

  async #attempt(): Promise<Uploaded> {
    const { unary, streaming } = this.#parts;
    const { offset } = await unary.beginUpload(this.#open, this.#call(CHUNK_MS));
    this.#patience.answered();
    if (Number(offset) > this.#arrived) this.#patience.progressed();
    this.#arrived = Number(offset);
    await this.#hashTo(this.#arrived);
    this.#moveTo(this.#arrived);
    const committed = streaming === undefined ? await this.#inChunks() : await this.#atOnce();
    if (committed === undefined) throw new GuestError("failed", "the guest told nothing");
    return { bytes: this.#hashed, sha256: committed.sha256, isAtomic: committed.isAtomic };
  }

  async #inChunks(): Promise<CommitUploadResponse> {
    const { unary } = this.#parts;
    for (let data = await this.#read(); data.length > 0; data = await this.#read()) {
      const request = { uploadId: this.#id, offset: BigInt(this.#offset), data };
      const { offset } = await unary.writeChunk(request, this.#call(CHUNK_MS));
      this.#patience.answered();
      this.#patience.progressed();
      this.#chunkBytes = Math.min(MOST_CHUNK_BYTES, this.#chunkBytes * 2);
      this.#moveTo(Number(offset));
    }
    const request = { uploadId: this.#id, ...this.#content };
    return await unary.commitUpload(request, this.#call(COMMIT_MS));
  }

  async #atOnce(): Promise<CommitUploadResponse | undefined> {
    using taking = new Taking(this.#parts.signal);
    const limits = { takeMs: CHUNK_MS, answerMs: COMMIT_MS };
    const messages = taking.watch(this.#messages(), limits);
    try {
      const { signal } = taking;
      return (await this.#parts.streaming?.writeFile(messages, { signal }))?.committed;
    } catch (reason) {
      throw taking.failureOf(reason);
    }
  }

  async *#messages(): AsyncGenerator<Sent> {
    yield { event: { case: "open", value: this.#open } };
    for (let data = await this.#read(); data.length > 0; data = await this.#read()) {
      yield { event: { case: "chunk", value: { offset: BigInt(this.#offset), data } } };
      this.#chunkBytes = Math.min(MOST_CHUNK_BYTES, this.#chunkBytes * 2);
      this.#moveTo(this.#offset + data.length);
    }
    yield { event: { case: "commit", value: this.#content } };
  }

  async #read(): Promise<Uint8Array<ArrayBuffer>> {
    try {
      return (await this.#readPart(this.#chunkBytes)) as Uint8Array<ArrayBuffer>;
    } catch (reason) {
      // Told here, as the transport gives what its messages fail with as a failure of its own.
      this.#localFailure = toGuestError(reason);
      throw reason;
    }
  }

  async #readPart(length: number): Promise<Uint8Array> {
    const { source, hasher } = this.#parts;
    const bytes = await source.read(this.#offset, length);
    const end = this.#offset + bytes.length;
    if (bytes.length === 0 && source.size !== undefined && end !== source.size) {
      throw new GuestError("wrong-state", `the source ends at ${end} and not at ${source.size}`);
    }
    if (end > this.#hashed) {
      hasher.update(bytes.subarray(this.#hashed - this.#offset));
      this.#hashed = end;
    }
    return bytes;
  }

  /** Takes what an earlier run has sent into the checksum. */
  async #hashTo(offset: number): Promise<void> {
    while (this.#hashed < offset) {
      const length = Math.min(HASHED_BYTES, offset - this.#hashed);
      this.#offset = this.#hashed;
      if ((await this.#readPart(length)).length === 0) return;
    }
  }

  #moveTo(offset: number): void {
    this.#offset = offset;
    try {
      this.#parts.onProgress?.(offset, this.#parts.source.size);
    } catch (reason) {
      this.#localFailure = toGuestError(reason);
      throw reason;
    }
  }

  get #content() {
    this.#sum ??= new Uint8Array(this.#parts.hasher.digest());
    return { size: BigInt(this.#hashed), sha256: this.#sum };
  }

  get #open() {
    const { path, mode, source, modifiedAt } = this.#parts;
    return {
      path,
      uploadId: this.#id,
      ...(mode !== undefined && { mode }),
      ...(source.size !== undefined && { size: BigInt(source.size) }),
      ...(modifiedAt !== undefined && { modifiedTime: timestampFromDate(modifiedAt) }),
    };
  }

  #call(timeoutMs: number): { timeoutMs: number; signal?: AbortSignal } {
    return { timeoutMs, ...withSignal(this.#parts.signal) };
  }
}
