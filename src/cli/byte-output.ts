import { write } from "node:fs";
import { sleep } from "../lib/sleep.ts";

/** Who shares the terminal may have made its writes fail instead of wait, in ms. */
const AGAIN_MS = 5;

/** What a program exits with whose reader is gone: SIGPIPE, to a shell. */
export const READER_GONE_CODE = 128 + 13;

/** The reader of an output is gone; nobody wants the rest. */
export class ReaderGone extends Error {
  constructor(options: ErrorOptions) {
    super("the reader of the output is gone", options);
    this.name = "ReaderGone";
  }
}

/**
 * One of our own outputs, for bytes of any kind. Unlike Node's streams, a write to a pipe that
 * nobody reads does not stop the whole process: signals and connections are still served.
 */
export class ByteOutput {
  readonly #fd: 1 | 2;

  constructor(fd: 1 | 2) {
    this.#fd = fd;
  }

  /** Resolves when the kernel has all of it. Throws `ReaderGone`. */
  async write(bytes: Uint8Array): Promise<void> {
    for (let at = 0; at < bytes.length; ) {
      try {
        at += await this.#some(bytes.subarray(at));
      } catch (reason) {
        const { code } = reason as { code?: string };
        if (code === "EPIPE" || code === "EIO") throw new ReaderGone({ cause: reason });
        if (code !== "EAGAIN") throw reason;
        await sleep(AGAIN_MS);
      }
    }
  }

  #some(bytes: Uint8Array): Promise<number> {
    return new Promise((resolve, reject) => {
      write(this.#fd, bytes, (error, written) => (error ? reject(error) : resolve(written)));
    });
  }
}
