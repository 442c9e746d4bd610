import { AgentError } from "../errors.ts";
import { messageOf } from "../lib/error-text.ts";
import { nextTurn } from "../lib/turns.ts";
import { WakeUp } from "../lib/wake-up.ts";
import { ChangeLog } from "./change-log.ts";
import { type Change, describeChanges } from "./describe-changes.ts";
import { toRawPath } from "./raw-path.ts";
import { WatchTree } from "./watch-tree.ts";
import type { WatcherOptions } from "./watcher.ts";

/** How often in a row the directory is watched anew when changes come faster than they are read. */
const MOST_ARMS = 8;

/** What a reader of a durable watcher gets. */
export interface ChangePage {
  changes: Change[];
  /** The number of the change before the first of them. */
  after: number;
  /** Whether changes up to `after` are lost: the reader lists the directory anew. */
  isLost: boolean;
}

/**
 * Numbers the changes of one directory and keeps the latest, so that a reader that was cut off goes
 * on where it was. Whatever is lost, a reader is told, and what follows is complete again.
 */
export class DurableWatcher {
  readonly #options: WatcherOptions;
  readonly #log: ChangeLog;
  readonly #news = new WakeUp();
  readonly #closing = new AbortController();
  #tree: WatchTree;
  /** Why the tree lost changes and watches no more, until another has taken its place. */
  #loss: AgentError | undefined;
  /** Also while it is planted for the first time. */
  #isReplanting = true;
  #failure: AgentError | undefined;

  constructor(options: WatcherOptions) {
    this.#options = options;
    this.#log = new ChangeLog(options.mostChanges);
    this.#tree = this.#plant();
  }

  /** The number of the latest change; 0 when there was none. */
  get last(): number {
    return this.#log.last;
  }

  /** Begins to watch; a failure or an abort leaves nothing behind. */
  async arm(signal: AbortSignal): Promise<void> {
    try {
      await this.#tree.arm(signal);
      if (this.#loss !== undefined) throw this.#loss;
      this.#isReplanting = false;
    } catch (error) {
      this.close();
      throw error;
    }
  }

  /**
   * Waits until there is something after the change with the number `sequence`: `true`; or until
   * `ms` milliseconds have passed: `false`. Abort rejects.
   */
  async ready(sequence: number, ms: number, signal: AbortSignal): Promise<boolean> {
    const hasNews = () => this.last > sequence || this.#failure !== undefined;
    return hasNews() || (await this.#news.wait(ms, signal));
  }

  /**
   * What came after the change with the number `sequence`, at most `most`; it stays. Throws
   * `out-of-range` for a number that is still to come, and why the directory is watched no more.
   */
  async read(sequence: number, most: number, signal: AbortSignal): Promise<ChangePage> {
    if (sequence > this.last) {
      const message = `change ${sequence} is still to come: the latest is ${this.last}`;
      throw new AgentError("out-of-range", message);
    }
    const { changes, after, isLost } = this.#log.read(sequence, most);
    if (changes.length === 0 && !isLost && this.#failure !== undefined) throw this.#failure;
    return { changes: await describeChanges(changes, this.#options, signal), after, isLost };
  }

  /** Sees to it that everything that happened before this call can be read. */
  async settle(signal: AbortSignal): Promise<void> {
    await this.#tree.settle(signal);
  }

  /** Watches no more. Readers are told. */
  close(): void {
    this.#closing.abort();
    this.#tree.close();
    this.#end(new AgentError("not-found", "the watcher was removed: watch again"));
  }

  #plant(): WatchTree {
    const { inotify, path, isRecursive } = this.#options;
    return new WatchTree(inotify, toRawPath(path), isRecursive, {
      onChange: (kind, name) => {
        this.#log.push({ kind, name });
        this.#news.wake();
      },
      onFailure: (error) => {
        this.#loss = error;
        if (!this.#isReplanting) void this.#replant();
      },
    });
  }

  /** Watches anew. Only then the loss is told: a list that is made after that misses nothing. */
  async #replant(): Promise<void> {
    this.#isReplanting = true;
    try {
      for (let arms = 0; this.#loss !== undefined; arms += 1) {
        if (arms === MOST_ARMS) throw this.#loss;
        await nextTurn();
        this.#closing.signal.throwIfAborted();
        this.#loss = undefined;
        this.#tree = this.#plant();
        await this.#tree.arm(this.#closing.signal);
      }
      this.#log.lose();
      this.#news.wake();
    } catch (reason) {
      this.#tree.close();
      this.#end(toAgentError(reason));
    } finally {
      this.#isReplanting = false;
    }
  }

  #end(failure: AgentError): void {
    this.#failure ??= failure;
    this.#news.wake();
  }
}

function toAgentError(reason: unknown): AgentError {
  if (reason instanceof AgentError) return reason;
  const message = `the directory can be watched no more: ${messageOf(reason)}`;
  return new AgentError("internal", message, { cause: reason });
}
