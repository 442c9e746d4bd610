import { statSync } from "node:fs";
import { basename, join } from "node:path";
import { FileType } from "../../gen/filesystem/filesystem_pb.js";
import { type Guest, GuestError } from "../client/index.ts";

/** Whether a path of this machine leads to a directory. */
export function isLocalDirectory(path: string): boolean {
  return statSync(path, { throwIfNoEntry: false })?.isDirectory() === true;
}

/** Whether a path of a guest does; empty is the user's home. */
export async function isRemoteDirectory(guest: Guest, path: string): Promise<boolean> {
  try {
    return (await guest.files.stat(path || ".")).type === FileType.DIRECTORY;
  } catch (reason) {
    if (reason instanceof GuestError && reason.kind === "not-found") return false;
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
