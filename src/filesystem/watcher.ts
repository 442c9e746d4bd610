import { AgentError } from "../errors.ts";
import { mapConcurrently } from "../lib/concurrently.ts";
import { codeOf } from "../lib/error-text.ts";
import { type AccountNames, type Entry, readRawEntry } from "./entries.ts";
import type { Inotify } from "./inotify.ts";
import { joinPath } from "./paths.ts";
import { fromRawPath, joinRawPath, type RawPath, toRawPath } from "./raw-path.ts";
import { type ChangeKind, WatchTree } from "./watch-tree.ts";

/** How many changed paths are looked at at once. */
const CONCURRENCY = 16;

/** One change below a watched directory. */
export interface Change {
  kind: ChangeKind;
  /** Relative to the watched directory; "." is the directory itself. */
  name: string;
  /** Only when asked for: the path at delivery, unless it was removed or moved away. */
  entry: Entry | undefined;
}

/** What a watcher needs to know. */
export interface WatcherOptions {
  inotify: Inotify;
  names: AccountNames;
  /** The directory, which may be a link to one. */
  path: string;
  /** Whether everything below the directory is watched as well. */
  isRecursive: boolean;
  /** Whether changes describe their path. */
  includesEntries: boolean;
  /** How many changes may wait to be taken. More end the watcher with a failure. */
  mostChanges: number;
}

/**
 * Collects the changes of one directory until they are taken. Once it has failed (changes were
 * lost, or a limit was reached) it watches nothing any more and only tells of the failure.
 */
export class Watcher {
  readonly #options: WatcherOptions;
  readonly #root: RawPath;
  readonly #tree: WatchTree;
  #changes: { kind: ChangeKind; name: RawPath }[] = [];
  #failure: AgentError | undefined;
  #wake: () => void = () => {};

  constructor(options: WatcherOptions) {
    this.#options = options;
    this.#root = toRawPath(options.path);
    this.#tree = new WatchTree(options.inotify, this.#root, options.isRecursive, {
      onChange: (kind, name) => this.#onChange(kind, name),
      onFailure: (error) => this.#fail(error),
    });
  }

  /** Begins to watch; a failure or an abort leaves nothing behind. */
  async arm(signal: AbortSignal): Promise<void> {
    try {
      await this.#tree.arm(signal);
      if (this.#failure !== undefined) throw this.#failure;
    } catch (error) {
      this.close();
      throw error;
    }
  }

  /**
   * Waits until there is something to take: `true`; or until `ms` milliseconds have passed:
   * `false`. Abort rejects. Only one may wait at a time.
   */
  ready(ms: number, signal: AbortSignal): Promise<boolean> {
    if (this.#hasNews) return Promise.resolve(true);
    return new Promise((resolve, reject) => {
      const settle = (act: () => void) => {
        clearTimeout(timer);
        signal.removeEventListener("abort", onAbort);
        this.#wake = () => {};
        act();
      };
      const onAbort = () => settle(() => reject(signal.reason as Error));
      const timer = setTimeout(() => settle(() => resolve(false)), ms);
      signal.addEventListener("abort", onAbort);
      this.#wake = () => settle(() => resolve(true));
      if (signal.aborted) onAbort();
    });
  }

  /**
   * Takes the changes that wait, the oldest first and at most `most`. Throws the failure of a
   * watcher that has failed. After an abort they wait again.
   */
  async take(signal: AbortSignal, most = Number.POSITIVE_INFINITY): Promise<Change[]> {
    if (this.#failure !== undefined) throw this.#failure;
    const taken = this.#changes.splice(0, most);
    try {
      return await this.#describeAll(taken, signal);
    } catch (error) {
      this.#changes = [...taken, ...this.#changes];
      throw error;
    }
  }

  /** Takes everything that happened before this call. */
  async collect(signal: AbortSignal): Promise<Change[]> {
    await this.#tree.settle(signal);
    return await this.take(signal);
  }

  /** Watches no more and forgets what waits. */
  close(): void {
    this.#tree.close();
    this.#changes = [];
  }

  get #hasNews(): boolean {
    return this.#changes.length > 0 || this.#failure !== undefined;
  }

  #onChange(kind: ChangeKind, name: RawPath): void {
    const { mostChanges } = this.#options;
    if (this.#changes.length >= mostChanges) {
      const message = `watcher overflow: more than ${mostChanges} changes were not taken in time, watch again`;
      this.#fail(new AgentError("internal", message));
      return;
    }
    this.#changes.push({ kind, name });
    this.#wake();
  }

  #fail(error: AgentError): void {
    this.#failure ??= error;
    this.close();
    this.#wake();
  }

  async #describeAll(
    changes: readonly { kind: ChangeKind; name: RawPath }[],
    signal: AbortSignal,
  ): Promise<Change[]> {
    // One look at a path serves all its changes that are delivered together.
    const entries = new Map<RawPath, Entry | undefined>();
    if (this.#options.includesEntries) {
      const names = [...new Set(changes.filter(hasEntry).map(({ name }) => name))];
      const found = await mapConcurrently(names, CONCURRENCY, (name) => this.#find(name), signal);
      for (const [index, name] of names.entries()) entries.set(name, found[index]);
    }
    return changes.map((change) => ({
      kind: change.kind,
      name: change.name === "" ? "." : fromRawPath(change.name),
      entry: hasEntry(change) ? entries.get(change.name) : undefined,
    }));
  }

  async #find(name: RawPath): Promise<Entry | undefined> {
    const raw = name === "" ? this.#root : joinRawPath(this.#root, name);
    const path = name === "" ? this.#options.path : joinPath(this.#options.path, fromRawPath(name));
    try {
      return (await readRawEntry(raw, path, this.#options.names)).entry;
    } catch (error) {
      // Whatever the reason, there is nothing to describe.
      if (codeOf(error) !== undefined) return undefined;
      throw error;
    }
  }
}

function hasEntry({ kind }: { kind: ChangeKind }): boolean {
  return kind === "create" || kind === "write" || kind === "chmod";
}
