import { sha256 } from "@noble/hashes/sha2.js";
import { element } from "./element.ts";
import type { Link } from "./link.ts";

/** How long the address of a download may be begun with, in seconds of the guest's clock. */
const VALID_S = 300;

/**
 * Lets the browser download `path` by itself, straight to disk: by an address that is signed for
 * this one file, as the token may stand in no address.
 */
export async function download(link: Link, path: string, name: string): Promise<void> {
  const anchor = element("a", { href: await addressOf(link, path), download: name });
  document.body.append(anchor);
  anchor.click();
  anchor.remove();
}

async function addressOf({ token, snapshot }: Link, path: string): Promise<string> {
  const query = new URLSearchParams({ path });
  if (token !== undefined) {
    // The guest's clock decides, and after a restore it may stand elsewhere.
    const { time } = await snapshot.status({});
    const expiration = String((time?.seconds ?? 0n) + BigInt(VALID_S));
    query.set("signature", sign([path, "read", "", token, expiration]));
    query.set("signature_expiration", expiration);
  }
  return `/files?${query}`;
}

function sign(fields: readonly string[]): string {
  const hash = sha256(new TextEncoder().encode(fields.join(":")));
  return `v1_${btoa(String.fromCharCode(...hash)).replace(/=+$/, "")}`;
}
