import { HttpError } from "./endpoint.ts";

const PREFIX = "x-metadata-";
/** What an extended attribute's name has room for behind its own prefix. */
const LONGEST_KEY = 246;
/** What all attributes of a file may take together: prefix, key and value of each. */
const LARGEST_SUM = 4_096;
const ATTRIBUTE_PREFIX_LENGTH = 9;

/**
 * The metadata that a request gives its files: `X-Metadata-<key>: <value>`, keys in lower case,
 * the first value of a key wins. `raw` is names and values in turn, as they arrived.
 */
export function parseMetadataHeaders(raw: readonly string[]): Record<string, string> {
  const entries = new Map<string, string>();
  for (let index = 0; index + 1 < raw.length; index += 2) {
    const name = (raw[index] as string).toLowerCase();
    const key = name.startsWith(PREFIX) ? name.slice(PREFIX.length) : "";
    if (key !== "" && !entries.has(key)) entries.set(key, (raw[index + 1] as string).trim());
  }
  let sum = 0;
  for (const [key, value] of entries) {
    if (!isPrintable(key)) throw invalid(`key "${key}" is not printable ASCII`);
    if (!isPrintable(value)) throw invalid(`the value of "${key}" is not printable ASCII`);
    if (key.length > LONGEST_KEY) {
      throw invalid(`key "${key}" is longer than ${LONGEST_KEY} bytes`);
    }
    sum += ATTRIBUTE_PREFIX_LENGTH + key.length + value.length;
  }
  if (sum > LARGEST_SUM) throw invalid(`${sum} bytes in all, more than ${LARGEST_SUM}`);
  return Object.fromEntries(entries);
}

function isPrintable(text: string): boolean {
  return /^[ -~]*$/.test(text);
}

function invalid(what: string): HttpError {
  return new HttpError(400, `invalid metadata: ${what}`);
}
