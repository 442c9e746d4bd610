import { constants, fstat, open } from "node:fs";
import { promisify } from "node:util";
import { mapConcurrently } from "../lib/concurrently.ts";
import { codeOf } from "../lib/error-text.ts";
import { Sha256 } from "../lib/sha256.ts";
import { readAt } from "./copy.ts";
import { joinRawPath, type RawPath, systemPath } from "./raw-path.ts";
import { resolveRoot } from "./tree-root.ts";
import { type WalkedEntry, type WalkOptions, walkTree } from "./tree-walk.ts";
import { closeFd } from "./upload-target.ts";

/** How many entries are told at once. */
const BATCH = 500;
/** How many files are hashed at once. */
const CONCURRENCY = 4;
const READ_BYTES = 1024 * 1024;

const openFd = promisify(open);
const statFd = promisify(fstat);

/** A path of a listing. */
export interface ListedEntry extends WalkedEntry {
  /** Only of a file, when asked for, and when it could be read. */
  sha256: Buffer | undefined;
}

/**
 * Lists all that is below the directory `path`, in parts. Parents come before children; what cannot
 * be looked at is left out, and `onSkipped` told.
 */
export async function* listTree(
  path: string,
  withSha256: boolean,
  { onSkipped, signal }: Pick<WalkOptions, "onSkipped" | "signal">,
): AsyncIterable<ListedEntry[]> {
  const { root } = await resolveRoot(path, false);
  const finish = (batch: WalkedEntry[]) =>
    mapConcurrently(
      batch,
      CONCURRENCY,
      async (entry): Promise<ListedEntry> => ({
        ...entry,
        sha256: withSha256 && entry.stats.isFile() ? await hash(root, entry, signal) : undefined,
      }),
      signal,
    );
  let batch: WalkedEntry[] = [];
  for await (const entry of walkTree({ root, onSkipped, signal })) {
    batch.push(entry);
    if (batch.length < BATCH) continue;
    yield await finish(batch);
    batch = [];
  }
  yield await finish(batch);
}

async function hash(
  root: RawPath,
  { path }: WalkedEntry,
  signal: AbortSignal,
): Promise<Buffer | undefined> {
  const flags = constants.O_RDONLY | constants.O_NONBLOCK | constants.O_NOFOLLOW;
  const fd = await openFd(systemPath(joinRawPath(root, path)), flags).catch((cause: unknown) => {
    if (codeOf(cause) === undefined) throw cause;
  });
  if (fd === undefined) return undefined;
  try {
    const stats = await statFd(fd);
    if (!stats.isFile()) return undefined;
    const sum = new Sha256();
    const buffer = Buffer.allocUnsafeSlow(Math.max(1, Math.min(READ_BYTES, stats.size)));
    for (let position = 0; ; ) {
      signal.throwIfAborted();
      const length = await readAt(fd, buffer, position);
      if (length === 0) return sum.digest();
      await sum.update(buffer.subarray(0, length));
      position += length;
    }
  } finally {
    await closeFd(fd);
  }
}
