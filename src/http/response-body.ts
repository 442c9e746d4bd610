import type { ServerResponse } from "node:http";
import type { Http2ServerResponse } from "node:http2";
import { constants } from "node:http2";

/** The client went away while it was being answered. Nobody is left to be told. */
export class ClientGone extends Error {
  constructor() {
    super("the client is gone");
    this.name = "ClientGone";
  }
}

/** Looks out for a client that has stopped to take what it is sent. */
export interface StallGuard {
  /** Called after every write. */
  note(): void;
  /** Called when nothing more is written. */
  forget(): void;
  /** How much to hand over next: little to a client that is slow to take it, in bytes. */
  paceBytes(): number;
}

/** Makes the guard of one response, which cuts it off. */
export type GuardResponse = (response: ServerResponse, writtenBytes: () => number) => StallGuard;

/** Writes the body of one response. The one place that waits for a client to take a file. */
export class ResponseBody implements Disposable {
  readonly #response: ServerResponse;
  readonly #signal: AbortSignal;
  readonly #guard: StallGuard | undefined;
  #writtenBytes = 0;

  /** Aborting `signal` ends every wait, as does the end of the response. */
  constructor(response: ServerResponse, signal: AbortSignal, guard: GuardResponse | undefined) {
    this.#response = response;
    this.#signal = signal;
    const writtenBytes = () => this.#writtenBytes;
    this.#guard = guard?.(response, writtenBytes);
  }

  /**
   * Writes `chunk` and resolves when it has been handed over, so that its memory may be used
   * again. Rejects with `ClientGone` when nobody takes it any more.
   */
  write(chunk: Uint8Array): Promise<void> {
    const response = this.#response;
    const signal = this.#signal;
    return new Promise((resolve, reject) => {
      const settle = (isWritten: boolean) => {
        response.off("close", onGone);
        signal.removeEventListener("abort", onGone);
        if (isWritten) resolve();
        else reject(new ClientGone());
      };
      const onGone = () => settle(false);
      if (signal.aborted || response.destroyed) {
        onGone();
        return;
      }
      response.once("close", onGone);
      signal.addEventListener("abort", onGone, { once: true });
      // The callback, as "drain" may have come before one can listen for it.
      response.write(chunk, (error) => settle(error === null || error === undefined));
      this.#writtenBytes += chunk.byteLength;
      this.#guard?.note();
    });
  }

  /** How much is best written next, in bytes; what is written is held until it has left. */
  get paceBytes(): number {
    return this.#guard?.paceBytes() ?? Number.POSITIVE_INFINITY;
  }

  /** Writes `chunk`, if any, as the last one. What it takes until it has left is not waited for. */
  end(chunk?: Uint8Array): void {
    this.#response.end(chunk);
  }

  [Symbol.dispose](): void {
    this.#guard?.forget();
  }
}

/** Breaks off a response whose body cannot be what its headers promised. */
export function cutOff(response: ServerResponse): void {
  const { stream } = response as unknown as Http2ServerResponse;
  if (stream === undefined) response.destroy();
  else stream.close(constants.NGHTTP2_INTERNAL_ERROR);
}
