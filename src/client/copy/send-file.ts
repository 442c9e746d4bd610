import { createHash } from "node:crypto";
import type { Stats } from "node:fs";
import { realpath, stat } from "node:fs/promises";
import type { Copying } from "./copying.ts";

const MODE_BITS = 0o7777;
const ID_DIGITS = 40;

/**
 * Sends one file. A run that was killed is gone on with: its upload has a name that another run of
 * the same file to the same place finds again.
 */
export async function sendFile(copying: Copying, local: string, remote: string): Promise<void> {
  const stats = await stat(local);
  const file = { local, remote, stats };
  const offset = await send(copying, file, await uploadIdOf(file));
  // For a while a guest knows an upload that is done, and takes nothing more for it.
  if (offset < stats.size) return;
  const { size, modifiedAt } = await copying.remoteEnd(remote);
  const isThere = Math.abs((modifiedAt?.getTime() ?? 0) - stats.mtimeMs) < 2;
  if (size !== stats.size || !isThere) await send(copying, file, undefined);
}

interface SentFile {
  local: string;
  remote: string;
  stats: Stats;
}

/** Resolves to how much of it the guest had already. */
async function send(
  copying: Copying,
  { local, remote, stats }: SentFile,
  uploadId: string | undefined,
): Promise<number> {
  let there: number | undefined;
  let before = 0;
  await copying.files.upload(local, remote, {
    ...copying.patienceOptions,
    uploadId,
    mode: stats.mode & MODE_BITS,
    modifiedAt: stats.mtime,
    onProgress: (done) => {
      there ??= done;
      copying.progress(done - before);
      before = done;
    },
  });
  return there ?? 0;
}

async function uploadIdOf({ local, remote, stats }: SentFile): Promise<string> {
  const { size, mtimeMs, ino } = stats;
  const what = JSON.stringify([await realpath(local), remote, size, mtimeMs, ino]);
  return createHash("sha256").update(what).digest("hex").slice(0, ID_DIGITS);
}
