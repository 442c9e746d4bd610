import { closeSync, readSync } from "node:fs";
import { callLibc } from "../../src/system/libc.ts";

const IN_NONBLOCK = 0o4000;
const MASKS = {
  WRITE: 0x2,
  CHMOD: 0x4,
  RENAME: 0x40,
  MOVED_TO: 0x80,
  CREATE: 0x100,
  REMOVE: 0x200,
} as const;

/** A bare watch on one directory, to see what others would see. */
export interface Inotify extends Disposable {
  /** What has happened since the last call, as `CREATE name`, oldest first. */
  events(): string[];
}

/** Watches `directory` from now on. */
export function watchDirectory(directory: string): Inotify {
  const fd = callLibc("int inotify_init1(int flags)", IN_NONBLOCK);
  const mask = Object.values(MASKS).reduce((all, one) => all | one, 0);
  callLibc("int inotify_add_watch(int fd, const char *path, uint32_t mask)", fd, directory, mask);
  return {
    events: () => readEvents(fd),
    [Symbol.dispose]: () => closeSync(fd),
  };
}

function readEvents(fd: number): string[] {
  const buffer = Buffer.alloc(65_536);
  const events: string[] = [];
  let length: number;
  try {
    length = readSync(fd, buffer);
  } catch {
    return [];
  }
  for (let at = 0; at < length; ) {
    const bits = buffer.readUInt32LE(at + 4);
    const nameLength = buffer.readUInt32LE(at + 12);
    const name = buffer.toString("utf8", at + 16, at + 16 + nameLength).replace(/\0+$/, "");
    const kind = Object.entries(MASKS).find(([, mask]) => (bits & mask) !== 0)?.[0] ?? "OTHER";
    events.push(`${kind} ${name}`);
    at += 16 + nameLength;
  }
  return events;
}
