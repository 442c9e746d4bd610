import type { ServerHttp2Stream } from "node:http2";

/** For how long a count is good enough, in ms: thousands of streams may ask for it at once. */
const FRESH_MS = 50;

/** The streams of one connection that may wait for it to move. */
export class Claims {
  readonly #streams = new Set<ServerHttp2Stream>();
  #isOne = true;
  #countedAt = Number.NEGATIVE_INFINITY;

  /** `stream` may wait until it closes, however many watch it. */
  add(stream: ServerHttp2Stream): void {
    if (this.#streams.has(stream)) return;
    this.#streams.add(stream);
    stream.once("close", () => this.#streams.delete(stream));
  }

  /** Whether one at most waits, so that what the connection moves is for that one. */
  get isOne(): boolean {
    const now = performance.now();
    if (now - this.#countedAt < FRESH_MS) return this.#isOne;
    this.#countedAt = now;
    let waiting = 0;
    for (const stream of this.#streams) {
      if (isWaiting(stream)) waiting += 1;
      if (waiting > 1) break;
    }
    this.#isOne = waiting <= 1;
    return this.#isOne;
  }
}

/** Whether something is still to be sent on `stream`. */
export function isWaiting(stream: ServerHttp2Stream): boolean {
  return !stream.destroyed && stream.writableLength > 0;
}
