import { timestampDate } from "@bufbuild/protobuf/wkt";
import type { Client } from "@connectrpc/connect";
import type {
  Filesystem,
  ReadFileResponse,
  ReadFileResponse_Start,
} from "../../gen/filesystem/filesystem_pb.js";
import { GuestError, isCut, toCut, toGuestError } from "./errors.ts";
import { EventStream } from "./event-stream.ts";
import { PartFile } from "./part-file.ts";
import { Patience, type PatienceOptions } from "./patience.ts";

/** How long nothing may come, in ms. The guest may read what it does not send, for the checksum. */
const STALL_MS = 30_000;
const MODE_BITS = 0o777;
/** A file that changes faster than it arrives is given up after so many beginnings. */
const MOST_BEGINNINGS = 5;

/** How a file is fetched. */
export interface DownloadOptions extends PatienceOptions {
  /** The file gets the time that it has in the guest. Default: that of its arrival. */
  keepsTime?: boolean | undefined;
  /** Told how much has arrived, and how much it is. */
  onProgress?: ((done: number, total: number) => void) | undefined;
}

/** What has arrived. */
export interface Downloaded {
  bytes: number;
  sha256: Uint8Array;
}

/** Brings one file of the guest to a place on this machine, however often it is cut off. */
export class Download {
  readonly #client: Client<typeof Filesystem>;
  readonly #path: string;
  readonly #target: string;
  readonly #options: DownloadOptions;
  readonly #patience: Patience;

  constructor(
    client: Client<typeof Filesystem>,
    path: string,
    target: string,
    options: DownloadOptions,
  ) {
    this.#client = client;
    this.#path = path;
    this.#target = target;
    this.#options = options;
    this.#patience = new Patience(options);
  }

  /** Resolves when it is in its place. Throws a `GuestError`; what has arrived stays beside it then. */
  async run(): Promise<Downloaded> {
    for (let beginning = 1; ; beginning++) {
      const head = await this.#untilAnswered(() => this.#head());
      const { version } = head;
      const size = Number(head.entry?.size ?? 0n);
      await using part = await PartFile.open(this.#target, version, size);
      try {
        const sha256 = await this.#untilAnswered(() => this.#receive(part, version, size));
        return await this.#finish(part, sha256, head.entry);
      } catch (reason) {
        const hasChanged = reason instanceof GuestError && reason.kind === "wrong-state";
        if (!hasChanged || beginning === MOST_BEGINNINGS) throw reason;
        await part.remove();
      }
    }
  }

  async #finish(
    part: PartFile,
    expected: Uint8Array,
    entry: ReadFileResponse_Start["entry"],
  ): Promise<Downloaded> {
    const sha256 = part.digest();
    if (!sha256.equals(expected)) {
      await part.remove();
      throw new GuestError("failed", `${this.#path}: what has arrived is not what was sent`);
    }
    const { mode = 0, modifiedTime } = entry ?? {};
    const keepsTime = this.#options.keepsTime === true && modifiedTime !== undefined;
    await part.finish(mode & MODE_BITS, keepsTime ? timestampDate(modifiedTime) : undefined);
    return { bytes: part.bytes, sha256 };
  }

  async #untilAnswered<T>(attempt: () => Promise<T>): Promise<T> {
    for (;;) {
      this.#options.signal?.throwIfAborted();
      try {
        return await attempt();
      } catch (reason) {
        this.#options.signal?.throwIfAborted();
        if (!isCut(reason)) throw toGuestError(reason);
        await this.#patience.afterCut(toCut(reason));
      }
    }
  }

  /** What the file is, and which version of it. */
  async #head(): Promise<ReadFileResponse_Start> {
    using stream = this.#open({ length: 0n });
    const start = await stream.start();
    this.#patience.answered();
    return start;
  }

  /** Receives what is missing. Resolves with the checksum of all. */
  async #receive(part: PartFile, version: string, size: number): Promise<Uint8Array> {
    const from = { offset: BigInt(part.bytes), sumFrom: 0n, version };
    using stream = this.#open(from);
    await stream.start();
    this.#patience.answered();
    this.#options.onProgress?.(part.bytes, size);
    for (;;) {
      const { event } = await stream.next();
      if (event.case === "end") return event.value.sha256;
      if (event.case !== "chunk") continue;
      await part.append(event.value);
      this.#patience.progressed();
      this.#options.onProgress?.(part.bytes, size);
    }
  }

  #open(part: { offset?: bigint; length?: bigint; sumFrom?: bigint; version?: string }) {
    const request = { path: this.#path, ...part };
    return new FileStream((signal) => this.#client.readFile(request, { signal }), {
      signal: this.#options.signal,
      stallMs: STALL_MS,
    });
  }
}

class FileStream extends EventStream<ReadFileResponse> {
  async start(): Promise<ReadFileResponse_Start> {
    const { event } = await this.next();
    if (event.case === "start") return event.value;
    throw new GuestError("failed", "the guest did not say what the file is");
  }
}
