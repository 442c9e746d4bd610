import { readFileSync } from "node:fs";
import { join } from "node:path";
import type { Guest, TreePath } from "../../client/index.ts";
import { mapConcurrently } from "../../lib/concurrently.ts";
import { END_OF_TAR, encodeEntryHead, type TarEntryHead } from "../../lib/tar-writer.ts";
import { BATCHES_AT_ONCE, batchesOf, LARGE_BYTES } from "./batches.ts";
import type { Persistence } from "./persistence.ts";
import type { Plan } from "./plan.ts";
import type { Progress } from "./progress.ts";
import { sendFile } from "./send-file.ts";

const BLOCK_BYTES = 512;
/** As long as files come into it, a directory must be open to its owner. */
const OWNER_BITS = 0o700;
const NS_PER_MS = 1_000_000n;

/** A local directory on its way into one of a guest. */
export interface SendTree {
  guest: Guest;
  local: string;
  remote: string;
  plan: Plan;
  progress: Progress;
  persistence: Persistence;
}

/** Does what the plan says. What has arrived when it is killed stays, and the next plan is shorter. */
export async function sendTree(sending: SendTree): Promise<void> {
  const { guest, local, remote, plan, persistence } = sending;
  for (const { path } of plan.removals) {
    await persistence.attempt(() => guest.files.remove(join(remote, path)));
  }
  const open = plan.directories.map((entry) => ({ ...entry, mode: entry.mode | OWNER_BITS }));
  const small = plan.files.filter(({ size }) => size < LARGE_BYTES);
  // The root is made even when nothing is in it.
  await sendBatch(sending, []);
  for (const batch of batchesOf(open)) await sendBatch(sending, batch);
  await mapConcurrently(batchesOf(small), BATCHES_AT_ONCE, (batch) => sendBatch(sending, batch));
  for (const batch of batchesOf(plan.links)) await sendBatch(sending, batch);
  for (const { path, size } of plan.files) {
    if (size < LARGE_BYTES) continue;
    await sendFile({ ...sending, local: join(local, path), remote: join(remote, path) });
  }
  // Modes that shut out, and times that files have changed since.
  for (const batch of batchesOf(plan.directories)) await sendBatch(sending, batch);
}

async function sendBatch(
  { guest, local, remote, progress, persistence }: SendTree,
  batch: readonly TreePath[],
): Promise<void> {
  let sent = 0;
  await persistence.attempt(() => {
    progress.add(-sent);
    sent = 0;
    const tar = tarOf(local, batch, (bytes) => {
      sent += bytes;
      progress.add(bytes);
    });
    return guest.files.writeTree(remote, tar);
  });
}

async function* tarOf(
  local: string,
  batch: readonly TreePath[],
  onBytes: (bytes: number) => void,
): AsyncGenerator<Uint8Array> {
  for (const entry of batch) {
    const content = entry.kind === "file" ? contentOf(join(local, entry.path)) : undefined;
    // A file that went away since it was listed is none to send.
    if (entry.kind === "file" && content === undefined) continue;
    yield encodeEntryHead(headOf(entry, content?.length ?? 0));
    if (content === undefined || content.length === 0) continue;
    yield content;
    yield Buffer.alloc((BLOCK_BYTES - (content.length % BLOCK_BYTES)) % BLOCK_BYTES);
    onBytes(content.length);
  }
  yield END_OF_TAR;
}

function contentOf(path: string): Buffer | undefined {
  try {
    return readFileSync(path);
  } catch (reason) {
    if ((reason as { code?: string }).code === "ENOENT") return undefined;
    throw reason;
  }
}

function headOf(entry: TreePath, bytes: number): TarEntryHead {
  const { path, kind, mode, modifiedAt, linkTarget } = entry;
  const isLink = kind === "symlink";
  return {
    path: rawText(path),
    type: kind === "directory" ? "directory" : isLink ? "symlink" : "file",
    mode,
    uid: 0,
    gid: 0,
    modifiedNs: BigInt(modifiedAt?.getTime() ?? 0) * NS_PER_MS,
    bytes,
    ...(isLink && { linkPath: rawText(linkTarget) }),
  };
}

/** A tar stream's texts have one character for each byte. */
function rawText(text: string): string {
  return Buffer.from(text).toString("latin1");
}
