import { AgentError } from "../errors.ts";
import { RETENTION_MS } from "./retention.ts";

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
  readonly #timers = new Set<NodeJS.Timeout>();

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
    const timer = setTimeout(() => {
      this.#timers.delete(timer);
      this.#byKey.delete(key);
    }, RETENTION_MS).unref();
    this.#timers.add(timer);
  }

  [Symbol.dispose](): void {
    for (const timer of this.#timers) clearTimeout(timer);
    this.#byKey.clear();
  }
}
