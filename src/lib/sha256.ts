import { createHash } from "node:crypto";
import { nextTurn } from "./turns.ts";

/** How much is hashed at a stretch: some 0.7 ms. */
const STRETCH_BYTES = 1024 * 1024;

/** A SHA-256 that grows with what it is given, and gives way to others while it does. */
export class Sha256 {
  readonly #hash = createHash("sha256");

  /** Adds `bytes`, which must not change until this resolves. One call at a time. */
  async update(bytes: Uint8Array): Promise<void> {
    for (let at = 0; at < bytes.length; at += STRETCH_BYTES) {
      if (at > 0) await nextTurn();
      this.#hash.update(bytes.subarray(at, at + STRETCH_BYTES));
    }
  }

  /** The sum of all that was added so far; more may follow. */
  digest(): Buffer {
    return this.#hash.copy().digest();
  }
}
