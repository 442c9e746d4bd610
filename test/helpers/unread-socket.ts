import { closeSync } from "node:fs";
import { callLibc } from "../../src/system/libc.ts";

const AF_UNIX = 1;
const SOCK_STREAM = 1;
const MSG_DONTWAIT = 0x40;

/** A socket from which nobody reads until the test does, as a journal's that is stuck. */
export class UnreadSocket implements Disposable {
  readonly #reader: number;
  #text = "";
  /** A writing end as a supervisor hands it on: who writes to it waits. */
  readonly fd: number;

  constructor() {
    const ends = new Int32Array(2);
    const signature = "int socketpair(int family, int type, int protocol, _Out_ int *ends)";
    callLibc(signature, AF_UNIX, SOCK_STREAM, 0, ends);
    [this.#reader = -1, this.fd = -1] = ends;
  }

  /** Fills the socket to the last byte. */
  fill(): void {
    const lines = Buffer.alloc(4_096, "\n");
    const send = "int64_t send(int fd, const uint8_t *bytes, uint64_t length, int flags)";
    for (const size of [lines.length, 1]) {
      try {
        for (;;) callLibc(send, this.fd, lines, size, MSG_DONTWAIT);
      } catch {
        // It takes no more of this size.
      }
    }
  }

  /** Reads what is there by now. Returns all lines that have come so far. */
  lines(): string[] {
    const chunk = Buffer.alloc(65_536);
    const receive = "int64_t recv(int fd, _Out_ uint8_t *bytes, uint64_t length, int flags)";
    try {
      for (;;) {
        const length = callLibc(receive, this.#reader, chunk, chunk.length, MSG_DONTWAIT);
        if (length === 0) break;
        this.#text += chunk.toString("latin1", 0, length);
      }
    } catch {
      // It is empty.
    }
    return this.#text.split("\n").filter((line) => line !== "");
  }

  [Symbol.dispose](): void {
    closeSync(this.#reader);
    closeSync(this.fd);
  }
}
