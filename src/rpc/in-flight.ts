import type { ServerResponse } from "node:http";
import type { Http2ServerResponse } from "node:http2";

/** The most that is handed to a connection for one viewer and not yet taken by the machine. */
const VIEWER_BYTES = 512 * 1024;
/** The same for all viewers of one HTTP/2 session: beyond its memory it refuses new streams. */
const SESSION_BYTES = 4 * 1024 * 1024;

const viewers = new WeakMap<object, number>();

/** One viewer's share of what may be on its way over its connection. */
export class InFlightShare implements Disposable {
  readonly #session: object | undefined;
  #isReleased = false;

  constructor(response: ServerResponse) {
    this.#session = (response as unknown as Partial<Http2ServerResponse>).stream?.session;
    this.#count(1);
  }

  /** How much may be on its way before more is handed over, in bytes. */
  get limitBytes(): number {
    const sharing = this.#session === undefined ? 1 : (viewers.get(this.#session) ?? 1);
    return Math.min(VIEWER_BYTES, SESSION_BYTES / sharing);
  }

  /** Leaves it to the others. */
  [Symbol.dispose](): void {
    if (this.#isReleased) return;
    this.#isReleased = true;
    this.#count(-1);
  }

  #count(change: 1 | -1): void {
    if (this.#session === undefined) return;
    viewers.set(this.#session, (viewers.get(this.#session) ?? 0) + change);
  }
}
