import { statSync } from "node:fs";
import { basename, join } from "node:path";
import { FileType } from "../../../gen/filesystem/filesystem_pb.js";
import { type Guest, GuestError } from "../../client/index.ts";

/** What a path leads to, links followed. */
export interface PathEnd {
  kind: "file" | "directory" | "other" | "missing";
  size: number;
  modifiedAt: Date | undefined;
}

/** Looks at a path of this machine. */
export function localEnd(path: string): PathEnd {
  const stats = statSync(path, { throwIfNoEntry: false });
  if (stats === undefined) return { kind: "missing", size: 0, modifiedAt: undefined };
  const kind = stats.isFile() ? "file" : stats.isDirectory() ? "directory" : "other";
  return { kind, size: stats.size, modifiedAt: stats.mtime };
}

/** Looks at a path of a guest. */
export async function remoteEnd(guest: Guest, path: string): Promise<PathEnd> {
  try {
    const { type, size, modifiedTime } = await guest.files.stat(path || ".");
    const kind =
      type === FileType.FILE ? "file" : type === FileType.DIRECTORY ? "directory" : "other";
    const modifiedAt =
      modifiedTime === undefined
        ? undefined
        : new Date(Number(modifiedTime.seconds) * 1_000 + modifiedTime.nanos / 1e6);
    return { kind, size: Number(size), modifiedAt };
  } catch (reason) {
    if (reason instanceof GuestError && reason.kind === "not-found") {
      return { kind: "missing", size: 0, modifiedAt: undefined };
    }
    throw reason;
  }
}

/** Where `source` goes, as `cp` has it: into a directory that is there, else to that very name. */
export function destinationOf(source: string, destination: string, isInto: boolean): string {
  const name = basename(source);
  // What has no name of its own, as a home, is copied with what is in it.
  if (!isInto || name === "" || name === "." || name === "..") return destination || ".";
  return join(destination, name);
}
