import { stat } from "node:fs/promises";
import { AgentError } from "../errors.ts";
import { codeOf, messageOf } from "../lib/error-text.ts";
import { randomText } from "../system/random.ts";
import type { Change } from "./describe-changes.ts";
import { type ChangePage, DurableWatcher } from "./durable-watcher.ts";
import { DurableWatchers } from "./durable-watchers.ts";
import type { AccountNames } from "./entries.ts";
import { Inotify } from "./inotify.ts";
import { isOnNetworkMount } from "./network-mounts.ts";
import { Watcher, type WatcherOptions } from "./watcher.ts";

const MOST_CHANGES = 65_536;
/** How many changes a durable watcher keeps for readers that come back. */
const MOST_KEPT_CHANGES = 16_384;
const ID_LENGTH = 20;
const ID_ALPHABET = "abcdefghijklmnopqrstuvwxyz0123456789";

/** What the agent's watchers have in common. */
export interface WatchersOptions {
  /** Names for owners and groups; `Users` fits. */
  names: AccountNames;
  /** How many changes may wait in each watcher until it fails; default 65,536. */
  mostChanges?: number;
  /** How many changes a durable watcher keeps; default 16,384. */
  mostKeptChanges?: number;
  /** How long a durable watcher without a reader is kept, in ms; default 10 minutes. */
  awayMs?: number;
}

/** What to watch. */
export interface WatchRequest {
  /** An absolute path of a directory, which may be a link to one. */
  path: string;
  /** Whether everything below the directory is watched as well. */
  isRecursive: boolean;
  /** Whether changes describe their path. */
  includesEntries: boolean;
  /** Whether the directory may lie on a network file system, which tells not of all changes. */
  allowsNetworkMounts: boolean;
}

/** The agent's watchers: those of open streams, and those that are kept under an id. */
export class Watchers {
  readonly #options: WatchersOptions;
  readonly #inotify = new Inotify();
  readonly #open = new Set<Watcher>();
  readonly #kept = new Map<string, Watcher>();
  readonly #durable: DurableWatchers;

  constructor(options: WatchersOptions) {
    this.#options = options;
    this.#durable = new DurableWatchers(options.awayMs);
  }

  /** How many directories the kernel watches for the agent. */
  get watchedDirectories(): number {
    return this.#inotify.watches;
  }

  /**
   * Watches a directory; it is armed when this returns. Who calls closes the watcher with `close`.
   * An abort before the end leaves nothing behind.
   */
  async open(request: WatchRequest, signal: AbortSignal): Promise<Watcher> {
    await checkDirectory(request);
    const watcher = new Watcher(this.#watching(request, this.#options.mostChanges ?? MOST_CHANGES));
    this.#open.add(watcher);
    try {
      await watcher.arm(signal);
    } catch (error) {
      this.close(watcher);
      throw error;
    }
    return watcher;
  }

  /** Ends a watcher of `open`. */
  close(watcher: Watcher): void {
    watcher.close();
    this.#open.delete(watcher);
  }

  /** Watches a directory until `remove`, and returns the id to ask with. */
  async create(request: WatchRequest, signal: AbortSignal): Promise<string> {
    const watcher = await this.open(request, signal);
    if (signal.aborted) {
      // Nobody would ever hear of the id.
      this.close(watcher);
      throw signal.reason;
    }
    const id = newId();
    this.#kept.set(id, watcher);
    return id;
  }

  /**
   * The same with a watcher that numbers and keeps its changes. `isTemporary`: it is removed when
   * nobody has read it with `readDurable` for 10 minutes. Throws `exhausted` when there are too many.
   */
  async createDurable(
    request: WatchRequest,
    isTemporary: boolean,
    signal: AbortSignal,
  ): Promise<string> {
    this.#durable.checkRoom();
    await checkDirectory(request);
    const mostChanges = this.#options.mostKeptChanges ?? MOST_KEPT_CHANGES;
    const watcher = new DurableWatcher(this.#watching(request, mostChanges));
    await watcher.arm(signal);
    try {
      signal.throwIfAborted();
      // Others may have come meanwhile.
      this.#durable.checkRoom();
    } catch (reason) {
      watcher.close();
      throw reason;
    }
    const id = newId();
    this.#durable.add(id, watcher, isTemporary);
    return id;
  }

  /** A durable watcher, kept until the result is disposed of. Throws `not-found`. */
  readDurable(id: string): { watcher: DurableWatcher } & Disposable {
    return this.#durable.read(id);
  }

  /**
   * What a durable watcher has after the change with the number `sequence`; all that happened
   * before this call is among it. `undefined` when the watcher is no durable one.
   */
  async page(id: string, sequence: number, signal: AbortSignal): Promise<ChangePage | undefined> {
    if (this.#durable.get(id) === undefined) return undefined;
    using reading = this.#durable.read(id);
    await reading.watcher.settle(signal);
    return await reading.watcher.read(sequence, Number.POSITIVE_INFINITY, signal);
  }

  /**
   * Takes what the watcher has collected; all that happened before this call is among it. Throws
   * `not-found`, and `internal` each time once the watcher has failed.
   */
  async collect(id: string, signal: AbortSignal): Promise<Change[]> {
    return await this.#find(id).collect(signal);
  }

  /** Ends a watcher of `create` or `createDurable`. Throws `not-found`. */
  remove(id: string): void {
    if (this.#durable.remove(id)) return;
    this.close(this.#find(id));
    this.#kept.delete(id);
  }

  /** Ends all watchers. */
  closeAll(): void {
    for (const watcher of this.#open) this.close(watcher);
    this.#kept.clear();
    this.#durable.closeAll();
  }

  #watching(request: WatchRequest, mostChanges: number): WatcherOptions {
    const { path, isRecursive, includesEntries } = request;
    const { names } = this.#options;
    return { inotify: this.#inotify, names, path, isRecursive, includesEntries, mostChanges };
  }

  #find(id: string): Watcher {
    const watcher = this.#kept.get(id);
    if (watcher !== undefined) return watcher;
    throw new AgentError("not-found", `watcher with id ${id} not found`);
  }
}

function newId(): string {
  return `w${randomText(ID_LENGTH, ID_ALPHABET)}`;
}

async function checkDirectory({ path, allowsNetworkMounts }: WatchRequest): Promise<void> {
  const { isDirectory, isRemote } = await look(path);
  if (!isDirectory) throw new AgentError("invalid", `path ${path} not a directory`);
  if (isRemote && !allowsNetworkMounts) {
    throw new AgentError("invalid", `cannot watch path on network filesystem: ${path}`);
  }
}

async function look(path: string): Promise<{ isDirectory: boolean; isRemote: boolean }> {
  try {
    const stats = await stat(path);
    return { isDirectory: stats.isDirectory(), isRemote: await isOnNetworkMount(path) };
  } catch (cause) {
    if (codeOf(cause) === "ENOENT") {
      throw new AgentError("not-found", `path ${path} not found: ${messageOf(cause)}`, { cause });
    }
    throw new AgentError("internal", `error statting path ${path}: ${messageOf(cause)}`, { cause });
  }
}
