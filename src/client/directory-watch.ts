import type { Client } from "@connectrpc/connect";
import {
  EventType,
  type Filesystem,
  type FilesystemEvent,
  type WatchDirResponse,
} from "../../gen/filesystem/filesystem_pb.js";
import { GuestError, isCut, toCut, toFailure, toGuestError } from "./errors.ts";
import { EventStream } from "./event-stream.ts";
import { anySignal, Patience, type PatienceOptions } from "./patience.ts";

const KEEPALIVE_MS = 5_000;
const SILENT_INTERVALS = 3;
const FORGET_MS = 5_000;

/** How a directory is watched. */
export interface WatchOptions extends PatienceOptions {
  /** Whether directories below it are watched as well. */
  recursive?: boolean | undefined;
  /** After how much silence the guest sends a sign of life, in ms; whole seconds. Default 5,000. */
  keepaliveMs?: number | undefined;
}

/** What has changed, or that changes are lost and the directory is to be listed anew. */
export type DirectoryChange =
  | {
      kind: "create" | "write" | "remove" | "rename" | "chmod";
      /** Relative to the directory; "." is the directory itself. */
      name: string;
    }
  | { kind: "resync" };

const KINDS: Partial<Record<EventType, "create" | "write" | "remove" | "rename" | "chmod">> = {
  [EventType.CREATE]: "create",
  [EventType.WRITE]: "write",
  [EventType.REMOVE]: "remove",
  [EventType.RENAME]: "rename",
  [EventType.CHMOD]: "chmod",
};

/**
 * A directory of the guest that is watched across cuts: whoever reads it misses nothing, or is told to
 * list it anew. Iterate once; leaving the loop ends it.
 */
export class DirectoryWatch implements AsyncIterable<DirectoryChange>, Disposable {
  readonly #client: Client<typeof Filesystem>;
  readonly #path: string;
  readonly #options: WatchOptions;
  readonly #leaving = new AbortController();
  readonly #signal: AbortSignal;
  readonly #patience: Patience;
  readonly #pending: DirectoryChange[] = [];
  #stream: EventStream<WatchDirResponse> | undefined;
  #watcherId = "";
  #sequence = 0n;
  /** The guest knows the watch no more, and what has changed since. */
  #isForgotten = false;

  private constructor(client: Client<typeof Filesystem>, path: string, options: WatchOptions) {
    this.#client = client;
    this.#path = path;
    this.#options = options;
    this.#signal = anySignal(this.#leaving.signal, options.signal);
    this.#patience = new Patience(options);
  }

  /** Resolves once the watch is armed. */
  static async begin(
    client: Client<typeof Filesystem>,
    path: string,
    options: WatchOptions,
  ): Promise<DirectoryWatch> {
    const watch = new DirectoryWatch(client, path, options);
    await watch.#open();
    return watch;
  }

  /** What changes. Throws a `GuestError` when the guest is out of reach for too long. */
  async *[Symbol.asyncIterator](): AsyncIterator<DirectoryChange> {
    try {
      for (;;) yield await this.#next();
    } finally {
      this[Symbol.dispose]();
    }
  }

  /** Ends it; what waits for it rejects with `canceled`. */
  [Symbol.dispose](): void {
    if (this.#leaving.signal.aborted) return;
    this.#leaving.abort(new GuestError("canceled", `the watch of ${this.#path} was left`));
    this.#stream?.close();
    this.#forget(this.#watcherId);
  }

  async #next(): Promise<DirectoryChange> {
    for (;;) {
      const pending = this.#pending.shift();
      if (pending !== undefined) return pending;
      const event = await this.#event();
      if (event.case === "filesystem") {
        this.#sequence = event.value.sequence;
        const change = toChange(event.value);
        if (change !== undefined) return change;
      } else if (event.case === "resync") {
        this.#sequence = event.value.sequence;
        return { kind: "resync" };
      }
    }
  }

  /** What the stream tells; nothing when it had to be opened again. */
  async #event(): Promise<WatchDirResponse["event"]> {
    try {
      if (this.#stream === undefined) await this.#open();
      const message = await this.#stream?.next();
      this.#patience.progressed();
      return message?.event ?? { case: undefined };
    } catch (reason) {
      this.#stream?.close();
      this.#stream = undefined;
      await this.#afterFailure(reason);
      return { case: undefined };
    }
  }

  /** Opens a stream, after a cut one that goes on. Resolves when it is armed. */
  async #open(): Promise<void> {
    const seconds = Math.max(1, Math.round((this.#options.keepaliveMs ?? KEEPALIVE_MS) / 1_000));
    const headers = { "keepalive-ping-interval": String(seconds) };
    const request =
      this.#watcherId === ""
        ? { path: this.#path, recursive: this.#options.recursive === true, durable: true }
        : { watcherId: this.#watcherId, afterSequence: this.#sequence };
    const open = (signal: AbortSignal) => this.#client.watchDir(request, { signal, headers });
    const stallMs = seconds * SILENT_INTERVALS * 1_000;
    const stream = new EventStream(open, { signal: this.#signal, stallMs });
    try {
      const { event } = await stream.next();
      if (event.case !== "start") throw new GuestError("failed", "the watch did not begin");
      this.#watcherId = event.value.watcherId;
      this.#sequence = event.value.sequence;
      this.#stream = stream;
      this.#patience.answered();
      // Told when the new one is armed, so that whoever lists the directory now misses nothing.
      if (this.#isForgotten) this.#pending.push({ kind: "resync" });
      this.#isForgotten = false;
    } catch (reason) {
      stream.close();
      this.#signal.throwIfAborted();
      throw toFailure(reason);
    }
  }

  async #afterFailure(reason: unknown): Promise<void> {
    this.#signal.throwIfAborted();
    const error = toGuestError(reason);
    const isForgotten = error.kind === "not-found" || error.kind === "invalid";
    if (isForgotten && this.#watcherId !== "") {
      // The guest has forgotten the watch, or was restored to before it had come so far.
      this.#watcherId = "";
      this.#isForgotten = true;
    } else if (isCut(reason) || error.kind === "exhausted") {
      await this.#patience.afterCut(toCut(reason));
    } else throw error;
  }

  /** A durable watch would go on for a while. */
  #forget(watcherId: string): void {
    if (watcherId === "") return;
    this.#client.removeWatcher({ watcherId }, { timeoutMs: FORGET_MS }).catch(() => {});
  }
}

function toChange({ type, name }: FilesystemEvent): DirectoryChange | undefined {
  const kind = KINDS[type];
  return kind === undefined ? undefined : { kind, name };
}
