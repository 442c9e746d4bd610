import type { ServerResponse } from "node:http";
import type { Socket } from "node:net";

/** What one HTTP/1 connection is answering: more than one thing when the client does not wait. */
export class Http1Exchanges {
  readonly #socket: Socket;
  readonly #open = new Set<ServerResponse>();
  #isRetiring = false;

  constructor(socket: Socket) {
    this.#socket = socket;
  }

  /** Follows `response` until it closes. */
  add(response: ServerResponse): void {
    if (this.#isRetiring) response.shouldKeepAlive = false;
    this.#open.add(response);
    response.once("close", () => {
      this.#open.delete(response);
      if (this.#isRetiring) this.retire();
    });
  }

  /** Closes the connection once everything that was asked for has been answered. */
  retire(): void {
    this.#isRetiring = true;
    for (const response of this.#open) response.shouldKeepAlive = false;
    if (this.#open.size === 0) this.#socket.end();
  }
}
