import type { Client } from "@connectrpc/connect";
import { sha256 } from "@noble/hashes/sha2.js";
import { bytesToHex } from "@noble/hashes/utils.js";
import type { Filesystem } from "../../gen/filesystem/filesystem_pb.js";
import { isCut, toGuestError } from "../client/errors.ts";

/** What one call carries, in bytes. */
const CHUNK_BYTES = 1024 * 1024;
/** The pause before the guest is asked again after a cut, in ms. */
const RETRY_MS = 250;
/** The guest may forget what it had; one that forgets everything again and again is given up. */
const MOST_REPEATS = 5;

const KEY = "thaw.upload.";

/** Where files go. */
export type UploadTarget = Client<typeof Filesystem>;

/** One upload. */
export interface Upload {
  file: File;
  path: string;
  /** Forgets it. */
  signal: AbortSignal;
}

/** Told how many bytes have arrived; `note` stands for them while something else happens. */
export type OnProgress = (sent: number, note?: string) => void;

/**
 * Sends a file in calls of its own, since browsers have no client streams. Goes on after cuts with
 * the byte that the guest misses, also after a reload of the page when the same file is given again.
 * The guest puts it in its place when the checksum of all of it is right.
 */
export async function upload(
  target: UploadTarget,
  { file, path, signal }: Upload,
  onProgress: OnProgress,
): Promise<void> {
  const key = `${KEY}${path}:${file.size}:${file.lastModified}`;
  const uploadId = keptId(key);
  const hashing = new Hashing(file);
  signal.addEventListener("abort", () => {
    sessionStorage.removeItem(key);
    void target.cancelUpload({ uploadId }).catch(() => {});
  });
  let repeats = 0;
  for (;;) {
    const before = hashing.position;
    try {
      await sendOnce(target, { file, path, signal, uploadId, hashing, onProgress });
      sessionStorage.removeItem(key);
      return;
    } catch (reason) {
      signal.throwIfAborted();
      const error = toGuestError(reason);
      repeats = hashing.position > before ? 0 : repeats + 1;
      const isBehind = error.kind === "invalid" && repeats < MOST_REPEATS;
      if (!isCut(reason) && !isBehind) throw error;
    }
    onProgress(hashing.position, "waits, goes on by itself");
    await new Promise((resolve) => setTimeout(resolve, RETRY_MS));
  }
}

interface Attempt extends Upload {
  uploadId: string;
  hashing: Hashing;
  onProgress: OnProgress;
}

async function sendOnce(target: UploadTarget, attempt: Attempt): Promise<void> {
  const { file, path, signal, uploadId, hashing, onProgress } = attempt;
  const begin = { path, uploadId, size: BigInt(file.size) };
  let { offset } = await target.beginUpload(begin, { signal });
  if (Number(offset) > hashing.position) onProgress(Number(offset), "checks what is there");
  await hashing.skipTo(Number(offset), signal);
  while (offset < file.size) {
    const data = await hashing.read(Number(offset));
    ({ offset } = await target.writeChunk({ uploadId, offset, data }, { signal }));
    onProgress(Number(offset));
  }
  const commit = { uploadId, size: BigInt(file.size), sha256: hashing.digest() };
  await target.commitUpload(commit, { signal });
}

/** Reads a file from its beginning and hashes each byte once. */
class Hashing {
  readonly #file: File;
  readonly #hash = sha256.create();
  #position = 0;

  constructor(file: File) {
    this.#file = file;
  }

  /** How much is hashed. */
  get position(): number {
    return this.#position;
  }

  /** The bytes from `offset`, a chunk of them. */
  async read(offset: number): Promise<Uint8Array> {
    const end = Math.min(offset + CHUNK_BYTES, this.#file.size);
    const bytes = new Uint8Array(await this.#file.slice(offset, end).arrayBuffer());
    if (end > this.#position) {
      this.#hash.update(bytes.subarray(this.#position - offset));
      this.#position = end;
    }
    return bytes;
  }

  /** Hashes what the guest has already. */
  async skipTo(offset: number, signal: AbortSignal): Promise<void> {
    while (this.#position < offset) {
      signal.throwIfAborted();
      await this.read(this.#position);
    }
  }

  /** The checksum of the whole. */
  digest(): Uint8Array {
    return this.#hash.clone().digest();
  }
}

/** What names this upload of this file, also after a reload. */
function keptId(key: string): string {
  const kept = sessionStorage.getItem(key);
  if (kept !== null) return kept;
  const id = bytesToHex(
    sha256(new TextEncoder().encode(`${key}:${performance.timeOrigin + performance.now()}`)),
  );
  sessionStorage.setItem(key, id);
  return id;
}
