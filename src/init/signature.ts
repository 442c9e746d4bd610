import { createHash, timingSafeEqual } from "node:crypto";
import { AgentError } from "../errors.ts";
import type { Settings } from "./settings.ts";

/** What a request to a path that may be signed brings along, each as it was given. */
export interface SignedRequest {
  /** What the signature must have been made for. */
  operation: "read" | "write";
  /** The decoded `path` of the query before any resolution; absent is empty. */
  path: string;
  /** The decoded `username` of the query; absent is empty, not the default user. */
  username: string;
  /** The `X-Access-Token` header; absent or empty leaves it to the signature. */
  token: string | undefined;
  signature: string | undefined;
  /** Seconds since 1970. */
  expiration: bigint | undefined;
}

/**
 * Lets a request with the access token or a valid signature through; the others fail with
 * `unauthenticated` and the words the contract has for them. Without a token nothing is checked.
 */
export function checkSignature(
  settings: Settings,
  request: SignedRequest,
  nowMs: number = Date.now(),
): void {
  const { accessToken } = settings;
  if (accessToken === undefined) return;
  if (request.token !== undefined && request.token !== "") {
    if (isEqual(request.token, accessToken)) return;
    throw refused("access token present in header but does not match");
  }
  if (request.signature === undefined) throw refused("missing signature query parameter");
  if (!isEqual(request.signature, sign(request, accessToken))) throw refused("invalid signature");
  if (request.expiration !== undefined && request.expiration < BigInt(Math.floor(nowMs / 1000))) {
    throw refused("signature is already expired");
  }
}

/** The signature of a request, as the clients make it. */
export function sign(
  request: Pick<SignedRequest, "operation" | "path" | "username" | "expiration">,
  accessToken: string,
): string {
  const fields = [request.path, request.operation, request.username, accessToken];
  if (request.expiration !== undefined) fields.push(String(request.expiration));
  const hash = createHash("sha256").update(fields.join(":")).digest("base64");
  return `v1_${hash.replace(/=+$/, "")}`;
}

/** Compares in a time that tells nothing about where the two differ, or how long they are. */
function isEqual(left: string, right: string): boolean {
  return timingSafeEqual(digest(left), digest(right));
}

function digest(text: string): Buffer {
  return createHash("sha256").update(text).digest();
}

function refused(message: string): AgentError {
  return new AgentError("unauthenticated", message);
}
