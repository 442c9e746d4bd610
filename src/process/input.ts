import type { Socket } from "node:net";
import { AgentError } from "../errors.ts";

/** The most input that may wait for one process; beyond it a write is refused. */
const WAITING_BYTES = 64 * 1024 * 1024;

interface Write {
  bytes: Uint8Array;
  resolve: () => void;
  reject: (reason: Error) => void;
}

/**
 * Writes to a process in the order of the calls. A process that does not read holds up only the
 * callers that write to it.
 */
export class Input {
  readonly #socket: Socket;
  readonly #waiting: Write[] = [];
  #current: Write | undefined;
  #waitingBytes = 0;
  #failure: Error | undefined;
  #isClosing = false;

  /** `socket` belongs to whoever made it; `close` ends it. */
  constructor(socket: Socket) {
    this.#socket = socket;
    socket.on("error", (reason) => this.#fail(reason));
    socket.once("close", () => this.#fail(new Error("closed")));
  }

  /** Whether nothing can be written any more because `close` was called. */
  get isClosed(): boolean {
    return this.#isClosing;
  }

  /**
   * Resolves once the machine has taken all of `bytes`. An aborted write that has not begun is
   * taken back; one that has begun goes on, as half of it cannot be taken back.
   */
  write(bytes: Uint8Array, signal: AbortSignal): Promise<void> {
    signal.throwIfAborted();
    if (this.#failure !== undefined) return Promise.reject(this.#failure);
    if (bytes.length === 0) return Promise.resolve();
    if (this.#waitingBytes + bytes.length > WAITING_BYTES) {
      const message = `${this.#waitingBytes} bytes already wait for this process to read: write again when it has read them`;
      return Promise.reject(new AgentError("exhausted", message));
    }
    return new Promise((resolve, reject) => {
      const onAbort = () => this.#takeBack(write, signal.reason as Error);
      const settle = (act: () => void) => {
        signal.removeEventListener("abort", onAbort);
        act();
      };
      const write: Write = {
        bytes,
        resolve: () => settle(resolve),
        reject: (reason) => settle(() => reject(reason)),
      };
      signal.addEventListener("abort", onAbort);
      this.#waiting.push(write);
      this.#waitingBytes += bytes.length;
      this.#next();
    });
  }

  /** Gives the process end of file after what waits already. */
  close(): void {
    this.#isClosing = true;
    this.#next();
  }

  /** Closes now. What still waits fails. */
  destroy(): void {
    this.#isClosing = true;
    this.#socket.destroy();
  }

  #next(): void {
    if (this.#current !== undefined) return;
    const write = this.#waiting.shift();
    if (write === undefined) {
      if (this.#isClosing) this.#socket.destroy();
      return;
    }
    this.#current = write;
    this.#socket.write(write.bytes, (reason) => {
      this.#current = undefined;
      this.#waitingBytes -= write.bytes.length;
      if (reason == null) write.resolve();
      else this.#fail(reason, write);
      this.#next();
    });
  }

  #takeBack(write: Write, reason: Error): void {
    const at = this.#waiting.indexOf(write);
    if (at >= 0) {
      this.#waiting.splice(at, 1);
      this.#waitingBytes -= write.bytes.length;
    }
    write.reject(reason);
  }

  #fail(reason: Error, current = this.#current): void {
    this.#failure ??= reason;
    current?.reject(this.#failure);
    for (const write of this.#waiting.splice(0)) write.reject(this.#failure);
    this.#waitingBytes = 0;
  }
}
