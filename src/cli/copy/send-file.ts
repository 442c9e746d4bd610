import { createHash } from "node:crypto";
import { realpathSync, type Stats, statSync } from "node:fs";
import type { Guest } from "../../client/index.ts";
import { remoteEnd } from "./ends.ts";
import type { Persistence } from "./persistence.ts";
import type { Progress } from "./progress.ts";

const MODE_BITS = 0o7777;
const ID_DIGITS = 40;

/** A file on its way into a guest. */
export interface SendFile {
  guest: Guest;
  local: string;
  remote: string;
  progress: Progress;
  persistence: Persistence;
}

/**
 * Sends one file. A run that was killed is gone on with: its upload has a name that another run of
 * the same file to the same place finds again.
 */
export async function sendFile(sending: SendFile): Promise<void> {
  const { guest, local, remote } = sending;
  const stats = statSync(local);
  const offset = await send(sending, stats, uploadIdOf(local, remote, stats));
  // For a while a guest knows an upload that is done, and takes nothing more for it.
  if (offset < stats.size) return;
  const { size, modifiedAt } = await remoteEnd(guest, remote);
  const isThere = Math.abs((modifiedAt?.getTime() ?? 0) - stats.mtimeMs) < 2;
  if (size !== stats.size || !isThere) await send(sending, stats, undefined);
}

/** Resolves to how much of it the guest had already. */
async function send(
  { guest, local, remote, progress, persistence }: SendFile,
  stats: Stats,
  uploadId: string | undefined,
): Promise<number> {
  let before: number | undefined;
  let there = 0;
  await guest.files.upload(local, remote, {
    uploadId,
    mode: stats.mode & MODE_BITS,
    modifiedAt: stats.mtime,
    onInterrupted: persistence.onInterrupted,
    onResumed: persistence.onResumed,
    onProgress: (done) => {
      if (before === undefined) progress.skip((there = done));
      else progress.add(done - before);
      before = done;
    },
  });
  return there;
}

function uploadIdOf(local: string, remote: string, { size, mtimeMs, ino }: Stats): string {
  const what = JSON.stringify([realpathSync(local), remote, size, mtimeMs, ino]);
  return createHash("sha256").update(what).digest("hex").slice(0, ID_DIGITS);
}
