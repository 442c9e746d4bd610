import { createHash, randomBytes } from "node:crypto";
import {
  lstatSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  symlinkSync,
  utimesSync,
  writeFileSync,
} from "node:fs";
import { dirname, join } from "node:path";

const FIRST_TIME_S = 1_600_000_000;

/** What a directory holds: each path with its mode, time and a checksum of its content. */
export function fingerprint(directory: string): Record<string, string> {
  const found: Record<string, string> = {};
  for (const path of readdirSync(directory, { recursive: true, encoding: "utf8" }).toSorted()) {
    const whole = join(directory, path);
    const stats = lstatSync(whole);
    const content = stats.isSymbolicLink()
      ? readlinkSync(whole)
      : stats.isFile()
        ? createHash("sha256").update(readFileSync(whole)).digest("hex")
        : "";
    const time = stats.isFile() ? Math.round(stats.mtimeMs) : "";
    found[path] =
      `${stats.isSymbolicLink() ? "" : (stats.mode & 0o777).toString(8)} ${time} ${content}`;
  }
  return found;
}

/** Makes a tree of small files, with directories, odd names, modes and a link. */
export function makeTree(directory: string, files: number): void {
  const content = randomBytes(4_096);
  mkdirSync(directory, { recursive: true });
  for (let index = 0; index < files; index++) {
    const path = join(directory, `d${index % 37}/s${index % 7}/file ${index} ü`);
    mkdirSync(dirname(path), { recursive: true });
    content.writeUInt32LE(index);
    const mode = index % 5 === 0 ? 0o755 : 0o640;
    writeFileSync(path, content.subarray(0, (index * 131) % 4_096), { mode });
    utimesSync(path, FIRST_TIME_S + index, FIRST_TIME_S + index);
  }
  mkdirSync(join(directory, "empty"), { mode: 0o700 });
  symlinkSync("d1/s1", join(directory, "link"));
  symlinkSync("/no/such/place", join(directory, "broken"));
}
