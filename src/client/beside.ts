import { createHash } from "node:crypto";
import { basename, dirname, join } from "node:path";

/** The longest name that file systems take, in bytes, less what is put around it. */
const MOST_BYTES = 200;
const DIGITS = 40;

/**
 * A place beside `path` for what is on its way there: `.NAME.ending`, which begins with the checksum
 * of the name where that is too long.
 */
export function besidePath(path: string, ending: string): string {
  const name = basename(path);
  const isLong = Buffer.byteLength(name) > MOST_BYTES;
  const short = isLong ? createHash("sha256").update(name).digest("hex").slice(0, DIGITS) : name;
  return join(dirname(path), `.${short}.${ending}`);
}
