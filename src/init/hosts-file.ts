import { readFile } from "node:fs/promises";
import { Lock } from "../lib/lock.ts";
import { replaceFile } from "../system/replace-file.ts";

/** The guest's table of host names. */
export class HostsFile {
  readonly #path: string;
  readonly #lock = new Lock();

  constructor(path: string) {
    this.#path = path;
  }

  /** Makes `name` lead to `address` and nowhere else. All other lines stay as they are. */
  async map(name: string, address: string): Promise<void> {
    using _ = await this.#lock.acquire();
    // One byte, one character: whatever else is in there comes out as it went in.
    const before = await readFile(this.#path, "latin1").catch(emptyIfMissing);
    const after = withMapping(before, name, address);
    if (after !== before) await replaceFile(this.#path, Buffer.from(after, "latin1"));
  }
}

function emptyIfMissing(error: unknown): string {
  if ((error as NodeJS.ErrnoException).code === "ENOENT") return "";
  throw error;
}

/** The text of a hosts file in which `name` leads to `address` and nowhere else. */
export function withMapping(text: string, name: string, address: string): string {
  const lines = text.split("\n");
  if (lines.at(-1) === "") lines.pop();
  const entry = `${address}\t${name}`;
  const kept: string[] = [];
  let isMapped = false;
  for (const line of lines) {
    const isFirst: boolean = line === entry && !isMapped;
    const rest = isFirst ? line : withoutName(line, name);
    if (rest !== undefined) kept.push(rest);
    isMapped ||= isFirst;
  }
  if (!isMapped) kept.push(entry);
  return `${kept.join("\n")}\n`;
}

/** The line without the name; `undefined` when nothing is left of it. */
function withoutName(line: string, name: string): string | undefined {
  const hash = line.indexOf("#");
  const [entry, comment] = hash < 0 ? [line, ""] : [line.slice(0, hash), line.slice(hash)];
  const [address, ...names] = entry.trim().split(/\s+/);
  const kept = names.filter((other) => other.toLowerCase() !== name);
  if (kept.length === names.length) return line;
  if (kept.length === 0) return comment === "" ? undefined : comment;
  return `${address}\t${kept.join(" ")}${comment === "" ? "" : ` ${comment}`}`;
}
