import { createHash, timingSafeEqual } from "node:crypto";
import { AgentError } from "../errors.ts";

/**
 * The hash of the token that the metadata service holds, as lower-case hex of SHA-512; `undefined`
 * or empty when it holds none or does not answer.
 */
export type ExpectedHash = () => Promise<string | undefined>;

/**
 * Decides whether `/init` may come with the token `given`, while `stored` is in force. The
 * metadata service is only asked when the two differ. Throws `unauthenticated`.
 */
export async function checkToken(
  stored: string | undefined,
  given: string | undefined,
  expectedHash: ExpectedHash,
): Promise<void> {
  if (stored !== undefined && given !== undefined && isSame(stored, given)) return;
  const hash = await expectedHash();
  if (hash === undefined || hash === "") {
    if (stored === undefined) return;
  } else if (isSame(sha512(given ?? ""), hash.toLowerCase())) return;
  throw new AgentError(
    "unauthenticated",
    given === undefined ? "access token reset not authorized" : "access token validation failed",
  );
}

/** Compares without telling by its duration where the two differ. */
function isSame(one: string, other: string): boolean {
  return timingSafeEqual(sha256(one), sha256(other));
}

function sha256(text: string): Buffer {
  return createHash("sha256").update(text).digest();
}

function sha512(text: string): string {
  return createHash("sha512").update(text).digest("hex");
}
