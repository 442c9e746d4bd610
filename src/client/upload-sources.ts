import { type FileHandle, open } from "node:fs/promises";
import { GuestError } from "./errors.ts";
import type { UploadSource } from "./upload.ts";

/** What can be uploaded: a local file's path, bytes, or what can be read from its beginning again. */
export type UploadContent = string | Uint8Array | (() => AsyncIterable<Uint8Array>);

/** Opens it to be read from anywhere. Disposing closes it. */
export async function openSource(content: UploadContent): Promise<UploadSource & AsyncDisposable> {
  if (typeof content === "string") return await openFileSource(content);
  if (typeof content === "function") return new StreamSource(content);
  return {
    size: content.length,
    read: async (offset, length) => content.subarray(offset, offset + length),
    [Symbol.asyncDispose]: async () => {},
  };
}

async function openFileSource(path: string): Promise<UploadSource & AsyncDisposable> {
  const file = await open(path).catch((cause: Error) => {
    throw new GuestError("invalid", `cannot read ${path}: ${cause.message}`, { cause });
  });
  try {
    const stats = await file.stat();
    if (!stats.isFile()) throw new GuestError("invalid", `${path} is no regular file`);
    return new FileSource(file, stats.size);
  } catch (reason) {
    await file.close();
    throw reason;
  }
}

class FileSource implements UploadSource, AsyncDisposable {
  readonly size: number;
  readonly #file: FileHandle;
  /** One for all reads: one for each is most of what there is to collect. */
  #buffer = Buffer.alloc(0);

  constructor(file: FileHandle, size: number) {
    this.#file = file;
    this.size = size;
  }

  async read(offset: number, length: number): Promise<Uint8Array> {
    if (this.#buffer.length < length) this.#buffer = Buffer.allocUnsafeSlow(length);
    const { bytesRead } = await this.#file.read(this.#buffer, 0, length, offset);
    return this.#buffer.subarray(0, bytesRead);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#file.close();
  }
}

/** What only goes forward: going back begins it anew and passes over what is there already. */
class StreamSource implements UploadSource, AsyncDisposable {
  readonly #open: () => AsyncIterable<Uint8Array>;
  #parts: AsyncIterator<Uint8Array> | undefined;
  #rest: Uint8Array = new Uint8Array();
  #position = 0;

  constructor(open: () => AsyncIterable<Uint8Array>) {
    this.#open = open;
  }

  async read(offset: number, length: number): Promise<Uint8Array> {
    if (this.#parts === undefined || offset < this.#position) await this.#begin();
    while (this.#position < offset) {
      const passed = await this.#take(offset - this.#position);
      if (passed.length === 0) return passed;
    }
    return await this.#take(length);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#parts?.return?.();
    this.#parts = undefined;
  }

  async #begin(): Promise<void> {
    await this[Symbol.asyncDispose]();
    this.#parts = this.#open()[Symbol.asyncIterator]();
    this.#rest = new Uint8Array();
    this.#position = 0;
  }

  async #take(most: number): Promise<Uint8Array> {
    while (this.#rest.length === 0) {
      const next = await this.#parts?.next();
      if (next === undefined || next.done === true) return new Uint8Array();
      this.#rest = next.value;
    }
    const taken = this.#rest.subarray(0, most);
    this.#rest = this.#rest.subarray(taken.length);
    this.#position += taken.length;
    return taken;
  }
}
