import { utimesSync } from "node:fs";
import { join } from "node:path";
import type { Guest, TreePath } from "../../client/index.ts";
import { ByteReader } from "../../lib/byte-reader.ts";
import { mapConcurrently } from "../../lib/concurrently.ts";
import { readTar } from "../../lib/tar-reader.ts";
import { BATCHES_AT_ONCE, batchesOf, LARGE_BYTES } from "./batches.ts";
import { LocalPlace } from "./local-place.ts";
import type { Persistence } from "./persistence.ts";
import type { Plan } from "./plan.ts";
import type { Progress } from "./progress.ts";

/** A directory of a guest on its way to one here. */
export interface FetchTree {
  guest: Guest;
  remote: string;
  local: string;
  plan: Plan;
  progress: Progress;
  persistence: Persistence;
}

/**
 * Does what the plan says. What has arrived when it is killed stays, and the next plan is shorter.
 * Resolves to what could not be read, with the reason.
 */
export async function fetchTree(fetching: FetchTree): Promise<string[]> {
  const { remote, local, plan } = fetching;
  const place = new LocalPlace(local);
  for (const entry of plan.removals) place.remove(entry);
  for (const entry of plan.directories) place.makeDirectory(entry);
  const skipped: string[] = [];
  const alone = plan.files.filter(({ size }) => size >= LARGE_BYTES);
  const batches = batchesOf(plan.files.filter(({ size }) => size < LARGE_BYTES));
  await mapConcurrently(batches, BATCHES_AT_ONCE, async (batch) => {
    const { missed, reasons } = await fetchBatch(fetching, place, batch);
    skipped.push(...reasons);
    // What came as something else than a file's bytes, as another name of one.
    if (reasons.length === 0) alone.push(...missed);
  });
  for (const entry of alone) {
    const whole = place.pathOf(entry.path);
    await fetchFile({ ...fetching, remote: join(remote, entry.path), local: whole, entry });
  }
  for (const entry of plan.links) place.makeLink(entry);
  for (const entry of plan.directories.toReversed()) place.finishDirectory(entry);
  return skipped;
}

/** One file of a guest on its way here. */
export interface FetchFile {
  guest: Guest;
  remote: string;
  local: string;
  progress: Progress;
  persistence: Persistence;
  entry: { modifiedAt: Date | undefined };
}

/** Fetches one file; a run that was killed is gone on with from the part beside the place. */
export async function fetchFile(fetching: FetchFile): Promise<void> {
  const { guest, remote, local, progress, persistence, entry } = fetching;
  let before = 0;
  await guest.files.download(remote, local, {
    onInterrupted: persistence.onInterrupted,
    onResumed: persistence.onResumed,
    onProgress: (done) => {
      progress.add(done - before);
      before = done;
    },
  });
  if (entry.modifiedAt !== undefined) utimesSync(local, entry.modifiedAt, entry.modifiedAt);
}

async function fetchBatch(
  { guest, remote, progress, persistence }: FetchTree,
  place: LocalPlace,
  batch: readonly TreePath[],
): Promise<{ missed: TreePath[]; reasons: string[] }> {
  const wanted = new Map(batch.map((entry) => [entry.path, entry]));
  return await persistence.attempt(async () => {
    const tar = guest.files.readTree(remote, { include: [...wanted.keys()] });
    const source = new Draining(tar);
    for await (const entry of readTar(new ByteReader(source))) {
      const path = Buffer.from(entry.path, "latin1").toString();
      const file = entry.type === "0" ? wanted.get(path) : undefined;
      if (file === undefined) continue;
      await place.writeFile(file, entry);
      wanted.delete(path);
      progress.add(file.size);
    }
    return { missed: [...wanted.values()], reasons: await source.rest() };
  });
}

/** Reads a tar stream, and what is told after it. */
class Draining implements AsyncIterator<Uint8Array> {
  readonly #tar: AsyncGenerator<Uint8Array, string[]>;
  #reasons: string[] | undefined;

  constructor(tar: AsyncGenerator<Uint8Array, string[]>) {
    this.#tar = tar;
  }

  async next(): Promise<IteratorResult<Uint8Array>> {
    if (this.#reasons !== undefined) return { done: true, value: undefined };
    const next = await this.#tar.next();
    if (next.done !== true) return next;
    this.#reasons = next.value;
    return { done: true, value: undefined };
  }

  /** What could not be read. Reads to the end, which checks the checksum. */
  async rest(): Promise<string[]> {
    while ((await this.next()).done !== true);
    return this.#reasons ?? [];
  }
}
