import { createHash } from "node:crypto";
import { randomText } from "../system/random.ts";

/** 32 letters and digits are 190 bits. */
const TOKEN_CHARACTERS = 32;
/** The most tokens that are known; beyond it the oldest is forgotten. */
const MOST_TOKENS = 1_000;

/** A process as a token names it: its pid alone might be another's later. */
export interface Viewable {
  readonly pid: number;
  readonly mark: string;
}

/** What a token allows: to watch this process. */
export interface ViewGrant {
  readonly pid: number;
}

/** The tokens that show a process and nothing else. */
export class ViewTokens {
  readonly #isKnown: (process: Viewable) => boolean;
  /** By digest, so that looking one up tells nothing of those that are there. */
  readonly #byDigest = new Map<string, Viewable>();

  /** `isKnown`: whether the process lives or has ended in the retention time. */
  constructor(isKnown: (process: Viewable) => boolean) {
    this.#isKnown = isKnown;
  }

  /** A new token for `process`, good for as long as that is known. */
  create({ pid, mark }: Viewable): string {
    for (const [digest, process] of this.#byDigest) {
      if (!this.#isKnown(process)) this.#byDigest.delete(digest);
    }
    const [oldest] = this.#byDigest.keys();
    if (this.#byDigest.size >= MOST_TOKENS && oldest !== undefined) this.#byDigest.delete(oldest);
    const token = randomText(TOKEN_CHARACTERS);
    this.#byDigest.set(digestOf(token), { pid, mark });
    return token;
  }

  /** No token that was made until now allows anything any more. */
  revokeAll(): void {
    this.#byDigest.clear();
  }

  /** What `token` allows; `undefined`: nothing. */
  find(token: string): ViewGrant | undefined {
    if (this.#byDigest.size === 0) return undefined;
    const process = this.#byDigest.get(digestOf(token));
    return process !== undefined && this.#isKnown(process) ? { pid: process.pid } : undefined;
  }
}

function digestOf(token: string): string {
  return createHash("sha256").update(token).digest("base64");
}
