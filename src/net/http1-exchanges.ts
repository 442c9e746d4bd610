import type { ServerResponse } from "node:http";
import type { Socket } from "node:net";

/** How long a request that has begun to come may take to be there, in ms, when all is to close. */
const COMING_MS = 500;

/** What one HTTP/1 connection is answering: more than one thing when the client does not wait. */
export class Http1Exchanges {
  readonly #socket: Socket;
  readonly #hasUnread: () => boolean;
  readonly #open = new Set<ServerResponse>();
  /** How much had been read when the last answer was given. */
  #answeredBytes = 0;
  #isRetiring = false;
  #isEnded = false;
  #coming: NodeJS.Timeout | undefined;

  /** `hasUnread`: whether bytes have come that nobody has read. */
  constructor(socket: Socket, hasUnread: () => boolean) {
    this.#socket = socket;
    this.#hasUnread = hasUnread;
    socket.once("close", () => clearTimeout(this.#coming));
  }

  /**
   * Follows `response` until it closes. Returns `false` when the connection takes nothing more: its
   * client may ask again elsewhere, so the request must not be served.
   */
  add(response: ServerResponse): boolean {
    if (this.#isEnded) return false;
    clearTimeout(this.#coming);
    if (this.#isRetiring) response.shouldKeepAlive = false;
    this.#open.add(response);
    response.once("close", () => {
      this.#open.delete(response);
      this.#answeredBytes = this.#socket.bytesRead;
      if (this.#isRetiring) this.retire();
    });
    return true;
  }

  /** Closes the connection once everything that was asked for has been answered. */
  retire(): void {
    this.#isRetiring = true;
    for (const response of this.#open) response.shouldKeepAlive = false;
    if (this.#open.size > 0) return;
    clearTimeout(this.#coming);
    if (this.#isComing) this.#coming = setTimeout(() => this.#end(), COMING_MS);
    else this.#end();
  }

  get #isComing(): boolean {
    return this.#socket.bytesRead > this.#answeredBytes || this.#hasUnread();
  }

  #end(): void {
    this.#isEnded = true;
    this.#socket.end();
  }
}
