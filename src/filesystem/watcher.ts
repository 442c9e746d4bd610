import { AgentError } from "../errors.ts";
import type { RawChange } from "./change-log.ts";
import { type Change, type DescribeOptions, describeChanges } from "./describe-changes.ts";
import type { Inotify } from "./inotify.ts";
import { type RawPath, toRawPath } from "./raw-path.ts";
import { type ChangeKind, WatchTree } from "./watch-tree.ts";

/** What a watcher needs to know. */
export interface WatcherOptions extends DescribeOptions {
  inotify: Inotify;
  /** Whether everything below the directory is watched as well. */
  isRecursive: boolean;
  /** How many changes may wait to be taken. What happens to more is the watcher's to say. */
  mostChanges: number;
}

/**
 * Collects the changes of one directory until they are taken. Once it has failed (changes were
 * lost, or a limit was reached) it watches nothing any more and only tells of the failure.
 */
export class Watcher {
  readonly #options: WatcherOptions;
  readonly #tree: WatchTree;
  #changes: RawChange[] = [];
  #failure: AgentError | undefined;
  #wake: () => void = () => {};

  constructor(options: WatcherOptions) {
    this.#options = options;
    this.#tree = new WatchTree(options.inotify, toRawPath(options.path), options.isRecursive, {
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
      return await describeChanges(taken, this.#options, signal);
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
}
