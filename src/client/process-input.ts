import { type Client, Code, ConnectError } from "@connectrpc/connect";
import type { Process } from "../../gen/process/process_pb.js";
import { GuestError, isCut, toCut, toGuestError } from "./errors.ts";
import { Patience, type PatienceOptions, untilAnswered } from "./patience.ts";
import { randomId } from "./random-id.ts";

/**
 * How long one write may go unanswered before the guest is asked whether it is there, in ms; twice as
 * long each time that it is.
 */
const ATTEMPT_MS = 5_000;
const MOST_ATTEMPT_MS = 60_000;
/** The most that travels in one call. */
const MESSAGE_BYTES = 1024 * 1024;
/** The most that may wait; beyond it a write is refused. */
const WAITING_BYTES = 64 * 1024 * 1024;

/** What input is sent with. */
export interface InputOptions extends PatienceOptions {
  client: Client<typeof Process>;
  pid: number;
  signal: AbortSignal;
  /** Whether the bytes go to a terminal and not to a pipe. */
  hasTerminal(): boolean;
}

interface Waiting {
  /** Absent for the end of the input. */
  bytes: Uint8Array | undefined;
  resolve(): void;
  reject(reason: unknown): void;
}

/**
 * Writes to one process, one write after the other. Each says where its bytes belong among all that
 * this writer has written, so that it is repeated until it is answered and each byte arrives once.
 */
export class ProcessInput {
  readonly #options: InputOptions;
  readonly #writer = randomId();
  readonly #waiting: Waiting[] = [];
  #waitingBytes = 0;
  #offset = 0;
  #isSending = false;
  /** Whether the guest counts input; not known before its first answer. */
  #isCounted: boolean | undefined;
  #failure: Error | undefined;

  constructor(options: InputOptions) {
    this.#options = options;
  }

  /** Resolves when the guest's kernel has them. `exhausted` when more than 64 MiB wait. */
  write(bytes: Uint8Array): Promise<void> {
    if (this.#waitingBytes + bytes.length > WAITING_BYTES) {
      const message = `${this.#waitingBytes} bytes of input wait already: await those writes first`;
      return Promise.reject(new GuestError("exhausted", message));
    }
    this.#waitingBytes += bytes.length;
    return this.#enqueue(bytes);
  }

  /** Ends the input after what was written before. */
  close(): Promise<void> {
    return this.#enqueue(undefined);
  }

  #enqueue(bytes: Uint8Array | undefined): Promise<void> {
    return new Promise((resolve, reject) => {
      this.#waiting.push({ bytes, resolve, reject });
      if (!this.#isSending) void this.#sendAll();
    });
  }

  async #sendAll(): Promise<void> {
    this.#isSending = true;
    for (let next = this.#waiting.shift(); next !== undefined; next = this.#waiting.shift()) {
      try {
        // What follows bytes that are lost would be another input.
        if (this.#failure !== undefined) throw this.#failure;
        if (next.bytes === undefined) await this.#sendEnd();
        else await this.#send(next.bytes);
        next.resolve();
      } catch (reason) {
        if (next.bytes !== undefined) this.#failure ??= reason as Error;
        next.reject(reason);
      }
      this.#waitingBytes -= next.bytes?.length ?? 0;
    }
    this.#isSending = false;
  }

  async #send(bytes: Uint8Array): Promise<void> {
    for (let at = 0; at < bytes.length; at += MESSAGE_BYTES) {
      await this.#sendPart(bytes.subarray(at, at + MESSAGE_BYTES));
    }
  }

  async #sendPart(bytes: Uint8Array): Promise<void> {
    const { signal } = this.#options;
    const patience = new Patience(this.#options);
    let attemptMs = ATTEMPT_MS;
    for (;;) {
      signal.throwIfAborted();
      try {
        await this.#attempt(bytes, this.#offset, attemptMs);
        patience.answered();
        this.#offset += bytes.length;
        return;
      } catch (reason) {
        signal.throwIfAborted();
        if (!isCut(reason)) throw toGuestError(reason);
        // A process that does not read holds its writers up for as long as it likes.
        if (isLate(reason) && (await this.#isThere())) {
          patience.answered();
          attemptMs = Math.min(MOST_ATTEMPT_MS, attemptMs * 2);
        } else await patience.afterCut(toCut(reason));
        if (this.#isCounted !== true && !(await this.#isThere())) continue;
        if (this.#isCounted === false) throw toCut(reason);
      }
    }
  }

  async #attempt(bytes: Uint8Array, offset: number, timeoutMs: number): Promise<void> {
    const { client, signal, hasTerminal } = this.#options;
    const kind = hasTerminal() ? ("pty" as const) : ("stdin" as const);
    const input = { input: { case: kind, value: bytes } };
    const place = { offset: BigInt(offset), writer: this.#writer };
    const request = { process: this.#selector, input, ...place };
    const { nextOffset } = await client.sendInput(request, { signal, timeoutMs });
    this.#isCounted = nextOffset !== undefined;
  }

  /** Asks with a write of nothing, which is answered at once. */
  async #isThere(): Promise<boolean> {
    try {
      await this.#attempt(new Uint8Array(), 0, ATTEMPT_MS);
      return true;
    } catch (reason) {
      return !isCut(reason);
    }
  }

  async #sendEnd(): Promise<void> {
    const { client } = this.#options;
    const close = async (options: object, attempt: number) => {
      try {
        await client.closeStdin({ process: this.#selector }, options);
      } catch (reason) {
        // It has ended of the end whose answer was lost.
        const isGone = attempt > 1 && ConnectError.from(reason).code === Code.NotFound;
        if (!isGone) throw reason;
      }
    };
    await untilAnswered(close, { ...this.#options, attemptMs: ATTEMPT_MS });
  }

  get #selector() {
    return { selector: { case: "pid" as const, value: this.#options.pid } };
  }
}

function isLate(reason: unknown): boolean {
  return ConnectError.from(reason).code === Code.DeadlineExceeded;
}
