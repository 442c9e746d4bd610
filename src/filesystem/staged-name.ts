import { randomText } from "../system/random.ts";
import type { RawPath } from "./raw-path.ts";

const PREFIX = ".thaw-upload-";

/** What the file is called in which an upload arrives: always the same, so that it is found again. */
export function stagedName(uploadId: string): RawPath {
  return PREFIX + uploadId;
}

/** A name for a file that is written in one go. No upload's id has a `~`. */
export function unusedStagedName(): RawPath {
  return `${PREFIX}~${randomText(22)}`;
}

/** Whether a file of this name is on its way to become another one, and nobody's business yet. */
export function isStagedName(name: RawPath): boolean {
  return name.startsWith(PREFIX);
}
