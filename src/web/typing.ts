import { toGuestError } from "../client/errors.ts";

/** What input goes to. */
export interface Typewriter {
  /** Resolves when the guest has `bytes`; retries across cuts by itself. */
  sendInput(bytes: Uint8Array): Promise<void>;
}

/** What one call carries at most, in bytes. */
const CALL_BYTES = 64 * 1024;
/** What may wait, in bytes. More is refused: nobody types so much, and a paste says so. */
const MOST_BYTES = 64 * 1024 * 1024;

/**
 * Sends what is typed in order: one call after the other, each with all that has come meanwhile.
 * Calls side by side may overtake each other.
 */
export class Typing {
  readonly #target: () => Typewriter | undefined;
  #waiting: Uint8Array[] = [];
  #waitingBytes = 0;
  #sending: Promise<void> | undefined;
  #isClosed = false;

  /** `target`: where to, once there is one; see `goOn`. */
  constructor(target: () => Typewriter | undefined) {
    this.#target = target;
  }

  /** Takes `bytes` along. `false`: too much waits already, and these are not taken. */
  add(bytes: Uint8Array): boolean {
    if (this.#waitingBytes + bytes.length > MOST_BYTES) return false;
    this.#waiting.push(bytes);
    this.#waitingBytes += bytes.length;
    this.goOn();
    return true;
  }

  /** Sends what waits, once there is something to send it to. */
  goOn(): void {
    this.#sending ??= this.#sendAll().finally(() => {
      this.#sending = undefined;
    });
  }

  /** Resolves when nothing is being sent. */
  async settled(): Promise<void> {
    await this.#sending;
  }

  /** Drops what waits. */
  close(): void {
    this.#isClosed = true;
    this.#waiting = [];
  }

  async #sendAll(): Promise<void> {
    try {
      for (;;) {
        const target = this.#target();
        if (target === undefined || this.#waiting.length === 0 || this.#isClosed) return;
        await this.#send(target, this.#take());
      }
    } catch {
      // The program has ended, or whoever attaches again goes on.
    }
  }

  async #send(target: Typewriter, bytes: Uint8Array): Promise<void> {
    try {
      await target.sendInput(bytes);
    } catch (reason) {
      // Not taken, and the token may be given anew.
      if (toGuestError(reason).kind === "unauthenticated") this.#putBack(bytes);
      throw reason;
    }
  }

  #putBack(bytes: Uint8Array): void {
    this.#waiting.unshift(bytes);
    this.#waitingBytes += bytes.length;
  }

  #take(): Uint8Array {
    const parts: Uint8Array[] = [];
    let bytes = 0;
    while (this.#waiting.length > 0 && bytes < CALL_BYTES) {
      const part = this.#waiting[0] ?? new Uint8Array();
      const fitting = part.subarray(0, CALL_BYTES - bytes);
      parts.push(fitting);
      bytes += fitting.length;
      if (fitting.length === part.length) this.#waiting.shift();
      else this.#waiting[0] = part.subarray(fitting.length);
    }
    this.#waitingBytes -= bytes;
    return joined(parts, bytes);
  }
}

function joined(parts: readonly Uint8Array[], length: number): Uint8Array {
  if (parts.length === 1) return parts[0] ?? new Uint8Array();
  const all = new Uint8Array(length);
  let at = 0;
  for (const part of parts) {
    all.set(part, at);
    at += part.length;
  }
  return all;
}
