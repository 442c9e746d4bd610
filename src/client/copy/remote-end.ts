import { timestampDate } from "@bufbuild/protobuf/wkt";
import { FileType } from "../../../gen/filesystem/filesystem_pb.js";
import { GuestError } from "../errors.ts";
import type { GuestFiles } from "../files.ts";

/** What a path leads to, links followed. */
export interface PathEnd {
  kind: "file" | "directory" | "other" | "missing";
  size: number;
  modifiedAt: Date | undefined;
}

const KINDS: Partial<Record<FileType, PathEnd["kind"]>> = {
  [FileType.FILE]: "file",
  [FileType.DIRECTORY]: "directory",
};

/** Looks at a path of a guest. */
export async function remoteEnd(
  files: GuestFiles,
  path: string,
  signal: AbortSignal | undefined,
): Promise<PathEnd> {
  try {
    const { type, size, modifiedTime } = await files.stat(path, signal);
    const modifiedAt = modifiedTime === undefined ? undefined : timestampDate(modifiedTime);
    return { kind: KINDS[type] ?? "other", size: Number(size), modifiedAt };
  } catch (reason) {
    if (!(reason instanceof GuestError) || reason.kind !== "not-found") throw reason;
    return { kind: "missing", size: 0, modifiedAt: undefined };
  }
}
