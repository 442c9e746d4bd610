import type { EntryInfo } from "../../gen/filesystem/filesystem_pb.js";
import { GuestError, isCut, toGuestError } from "../client/errors.ts";
import type { Link } from "./link.ts";
import { Poll } from "./poll.ts";

/** How often the guest is asked what has changed, in ms. */
const POLL_MS = 1_000;

/** What the guest calls an upload until it is whole. Of no use to anybody before that. */
const UNFINISHED = ".thaw-upload-";

/** What is told of a directory. */
export interface DirectoryOptions {
  link: Link;
  /** The directory has other entries, or is another one. */
  onEntries: (path: string, entries: readonly EntryInfo[]) => void;
  onError: (error: GuestError) => void;
}

/**
 * One directory and what changes in it. A watcher that outlives connections notices, and is asked
 * now and then: a stream of its own would take one of the browser's six connections.
 */
export class Directory {
  readonly #options: DirectoryOptions;
  readonly #poll = new Poll(POLL_MS, (signal) => this.#look(signal));
  #path: string;
  #watcher: { id: string; sequence: bigint } | undefined;

  constructor(path: string, options: DirectoryOptions) {
    this.#path = path;
    this.#options = options;
  }

  /** Where it is. */
  get path(): string {
    return this.#path;
  }

  /** Follows it or not. */
  follow(isWanted: boolean): void {
    this.#poll.want(isWanted);
    if (!isWanted) void this.#leaveWatcher();
  }

  /** Goes to another one. */
  go(path: string): void {
    this.#path = path;
    void this.#leaveWatcher();
    this.#poll.hurry();
  }

  /** Looks at once, as after a change of one's own. */
  refresh(): void {
    this.#poll.hurry();
  }

  async #look(signal: AbortSignal): Promise<void> {
    try {
      if (await this.#hasNews(signal)) await this.#list(signal);
    } catch (reason) {
      if (signal.aborted) return;
      const error = toGuestError(reason);
      const isForgotten = error.kind === "not-found" && this.#watcher !== undefined;
      // A watcher that is gone is made anew; a directory that is gone then says so.
      if (isForgotten || error.kind === "invalid") this.#watcher = undefined;
      if (!isForgotten && !isCut(reason)) this.#options.onError(error);
    }
  }

  async #hasNews(signal: AbortSignal): Promise<boolean> {
    const { files } = this.#options.link;
    const watcher = this.#watcher;
    if (watcher === undefined) {
      this.#watcher = { id: await this.#watch(signal), sequence: 0n };
      return true;
    }
    const request = { watcherId: watcher.id, afterSequence: watcher.sequence };
    const { events, sequence, resync } = await files.getWatcherEvents(request, { signal });
    watcher.sequence = sequence;
    return events.length > 0 || resync;
  }

  /** Begins a watcher that goes by itself when it is not asked for 10 minutes, as of a closed page. */
  async #watch(signal: AbortSignal): Promise<string> {
    const leaving = new AbortController();
    try {
      const begun = this.#options.link.files.watchDir(
        { path: this.#path, durable: true, allowNetworkMounts: true },
        { signal: AbortSignal.any([signal, leaving.signal]) },
      );
      for await (const { event } of begun) {
        if (event.case === "start") return event.value.watcherId;
      }
      throw new GuestError("unreachable", "the watch ended before it began");
    } finally {
      leaving.abort();
    }
  }

  async #list(signal: AbortSignal): Promise<void> {
    const path = this.#path;
    try {
      const { entries } = await this.#options.link.files.listDir({ path, depth: 1 }, { signal });
      const whole = entries.filter(({ name }) => !name.startsWith(UNFINISHED));
      if (path === this.#path) this.#options.onEntries(path, whole);
    } catch (reason) {
      // What was noticed is not lost: the next look lists again.
      this.#watcher = undefined;
      throw reason;
    }
  }

  async #leaveWatcher(): Promise<void> {
    const watcher = this.#watcher;
    this.#watcher = undefined;
    if (watcher === undefined) return;
    await this.#options.link.files.removeWatcher({ watcherId: watcher.id }).catch(() => {});
  }
}
