import { readFileSync } from "node:fs";
import { join } from "node:path";
import { mapConcurrently } from "../../lib/concurrently.ts";
import { END_OF_TAR, encodeEntryHead, type TarEntryHead } from "../../lib/tar-writer.ts";
import type { TreePath } from "../trees.ts";
import { BATCHES_AT_ONCE, batchesOf, LARGE_BYTES } from "./batches.ts";
import type { Copying } from "./copying.ts";
import type { Plan } from "./plan.ts";
import { sendFile } from "./send-file.ts";

const BLOCK_BYTES = 512;
/** As long as files come into it, a directory must be open to its owner. */
const OWNER_BITS = 0o700;
const NS_PER_MS = 1_000_000n;

/** A local directory on its way into one of a guest. */
export interface SendTree {
  copying: Copying;
  local: string;
  remote: string;
  plan: Plan;
}

/**
 * Does what the plan says. What has arrived when it is killed stays, and the next plan is shorter.
 * Resolves to what could not be read, with the reason.
 */
export async function sendTree(sending: SendTree): Promise<string[]> {
  const { copying, remote, plan } = sending;
  for (const { path } of plan.removals) {
    await copying.untilDone(() => copying.files.remove(join(remote, path), copying.signal));
  }
  const skipped = new Map<string, string>();
  const send = (batch: readonly TreePath[]) => sendBatch(sending, batch, skipped);
  const open = plan.directories.map((entry) => ({ ...entry, mode: entry.mode | OWNER_BITS }));
  const small = plan.files.filter(({ size }) => size < LARGE_BYTES);
  // The root is made even when nothing is in it.
  await send([]);
  for (const batch of batchesOf(open)) await send(batch);
  await mapConcurrently(batchesOf(small), BATCHES_AT_ONCE, send, copying.signal);
  for (const batch of batchesOf(plan.links)) await send(batch);
  for (const entry of plan.files) {
    if (entry.size >= LARGE_BYTES) await sendLarge(sending, entry, skipped);
  }
  // Modes that shut out, and times that files have changed since.
  for (const batch of batchesOf(plan.directories)) await send(batch);
  return [...skipped.values()];
}

/** Sends a batch; of one that was cut the halves, as on a bad way less arrives at once. */
async function sendBatch(
  { copying, local, remote }: SendTree,
  batch: readonly TreePath[],
  skipped: Map<string, string>,
): Promise<void> {
  const { files, signal } = copying;
  const pending = [batch];
  for (let next = pending.shift(); next !== undefined; next = pending.shift()) {
    let part = next;
    let sent = 0;
    const onBytes = (bytes: number) => {
      sent += bytes;
      copying.progress(bytes);
    };
    const onCut = () => {
      copying.progress(-sent);
      sent = 0;
      const half = Math.ceil(part.length / 2);
      if (part.length > half) pending.unshift(part.slice(half));
      part = part.slice(0, half);
    };
    const send = () =>
      files.writeTree(remote, tarOf({ local, batch: part, onBytes, skipped }), { signal });
    await copying.untilDone(send, onCut);
  }
}

async function sendLarge(
  { copying, local, remote }: SendTree,
  { path }: TreePath,
  skipped: Map<string, string>,
): Promise<void> {
  try {
    await sendFile(copying, join(local, path), join(remote, path));
  } catch (reason) {
    if (!isUnreadable(reason)) throw reason;
    skip(skipped, path, reason);
  }
}

interface TarSource {
  local: string;
  batch: readonly TreePath[];
  onBytes: (bytes: number) => void;
  skipped: Map<string, string>;
}

async function* tarOf({ local, batch, onBytes, skipped }: TarSource): AsyncGenerator<Uint8Array> {
  for (const entry of batch) {
    const content = entry.kind === "file" ? contentOf(local, entry.path, skipped) : undefined;
    if (entry.kind === "file" && content === undefined) continue;
    yield encodeEntryHead(headOf(entry, content?.length ?? 0));
    if (content === undefined || content.length === 0) continue;
    yield content;
    yield Buffer.alloc((BLOCK_BYTES - (content.length % BLOCK_BYTES)) % BLOCK_BYTES);
    onBytes(content.length);
  }
  yield END_OF_TAR;
}

function contentOf(local: string, path: string, skipped: Map<string, string>): Buffer | undefined {
  try {
    return readFileSync(join(local, path));
  } catch (reason) {
    if (!isUnreadable(reason)) throw reason;
    skip(skipped, path, reason);
    return undefined;
  }
}

function isUnreadable(reason: unknown): reason is { code: string; syscall: string } {
  return reason instanceof Error && "code" in reason && "syscall" in reason;
}

/** A file that went away since it was listed is none to send. */
function skip(
  skipped: Map<string, string>,
  path: string,
  { code, syscall }: { code: string; syscall: string },
): void {
  if (code !== "ENOENT") skipped.set(path, `${path}: ${syscall}: ${code}`);
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
