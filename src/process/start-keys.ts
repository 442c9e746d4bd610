import { AgentError } from "../errors.ts";
import { RETENTION_MS } from "./retention.ts";

/** The most keys of processes that have ended; beyond it the oldest is forgotten. */
const MOST_ENDED = 10_000;

/** What a key stands for. */
interface Keyed<Started> {
  /** What was asked for, in a form that can be compared. */
  request: string;
  started: Promise<Started>;
}

/**
 * Remembers which process was started under a caller's key, so that a start whose answer was lost
 * can be repeated.
 */
export class StartKeys<Started> implements Disposable {
  readonly #byKey = new Map<string, Keyed<Started>>();
  /** Those whose process has ended, oldest first. */
  readonly #ended = new Map<string, NodeJS.Timeout>();

  /**
   * What was started under `key`, or `undefined` when nothing was. Throws `exists` when that was
   * another request.
   */
  find(key: string, request: string): Promise<Started> | undefined {
    const found = this.#byKey.get(key);
    if (found === undefined || found.request === request) return found?.started;
    const message = `another process was started with the idempotency key ${JSON.stringify(key)}: use a key once`;
    throw new AgentError("exists", message);
  }

  /** Remembers a start until it fails, or for the retention time after `forgetLater`. */
  add(key: string, request: string, started: Promise<Started>): void {
    this.#byKey.set(key, { request, started });
    started.catch(() => this.#byKey.delete(key));
  }

  /** Told that the process of `key` has ended. */
  forgetLater(key: string): void {
    const timer = setTimeout(() => this.#forget(key), RETENTION_MS).unref();
    this.#ended.set(key, timer);
    const [oldest] = this.#ended.keys();
    if (this.#ended.size > MOST_ENDED && oldest !== undefined) this.#forget(oldest);
  }

  [Symbol.dispose](): void {
    for (const key of this.#ended.keys()) this.#forget(key);
    this.#byKey.clear();
  }

  #forget(key: string): void {
    clearTimeout(this.#ended.get(key));
    this.#ended.delete(key);
    this.#byKey.delete(key);
  }
}
