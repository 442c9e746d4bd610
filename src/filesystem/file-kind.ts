import type { Stats } from "node:fs";

/** What a path leads to when it is no regular file, in words for the caller. */
export type SpecialKind =
  | "directory"
  | "named pipe"
  | "socket"
  | "character device"
  | "block device"
  | "special file";

/** What `stats` describes, or `undefined` for a regular file. */
export function specialKind(stats: Stats): SpecialKind | undefined {
  if (stats.isFile()) return undefined;
  if (stats.isDirectory()) return "directory";
  if (stats.isFIFO()) return "named pipe";
  if (stats.isSocket()) return "socket";
  if (stats.isCharacterDevice()) return "character device";
  if (stats.isBlockDevice()) return "block device";
  return "special file";
}
