import { join } from "node:path";
import { ByteReader } from "../../lib/byte-reader.ts";
import { mapConcurrently } from "../../lib/concurrently.ts";
import { readTar } from "../../lib/tar-reader.ts";
import type { TreePath } from "../trees.ts";
import { BATCHES_AT_ONCE, batchesOf, LARGE_BYTES } from "./batches.ts";
import type { Copying } from "./copying.ts";
import { LocalPlace } from "./local-place.ts";
import type { Plan } from "./plan.ts";

/** A directory of a guest on its way to one here. */
export interface FetchTree {
  copying: Copying;
  remote: string;
  local: string;
  plan: Plan;
}

/**
 * Does what the plan says. What has arrived when it is killed stays, and the next plan is shorter.
 * Resolves to what could not be read, with the reason.
 */
export async function fetchTree(fetching: FetchTree): Promise<string[]> {
  const { copying, remote, local, plan } = fetching;
  const place = new LocalPlace(local);
  for (const entry of plan.removals) place.remove(entry);
  for (const entry of plan.directories) place.makeDirectory(entry);
  const skipped: string[] = [];
  const alone = plan.files.filter(({ size }) => size >= LARGE_BYTES);
  const batches = batchesOf(plan.files.filter(({ size }) => size < LARGE_BYTES));
  const fetch = async (batch: readonly TreePath[]) => {
    const { missed, reasons } = await fetchBatch(fetching, place, batch);
    skipped.push(...reasons);
    // What came as something else than a file's bytes, as another name of one.
    if (reasons.length === 0) alone.push(...missed);
  };
  await mapConcurrently(batches, BATCHES_AT_ONCE, fetch, copying.signal);
  for (const { path } of alone) await fetchFile(copying, join(remote, path), place.pathOf(path));
  for (const entry of plan.links) place.makeLink(entry);
  for (const entry of plan.directories.toReversed()) place.finishDirectory(entry);
  return skipped;
}

/** Fetches one file; a run that was killed is gone on with from the part beside the place. */
export async function fetchFile(copying: Copying, remote: string, local: string): Promise<void> {
  let before = 0;
  await copying.files.download(remote, local, {
    ...copying.patienceOptions,
    keepsTime: true,
    onProgress: (done) => {
      copying.progress(done - before);
      before = done;
    },
  });
}

async function fetchBatch(
  { copying, remote }: FetchTree,
  place: LocalPlace,
  batch: readonly TreePath[],
): Promise<{ missed: TreePath[]; reasons: string[] }> {
  const wanted = new Map(batch.map((entry) => [entry.path, entry]));
  const reasons = await copying.untilDone(async () => {
    // Nothing named would be everything.
    if (wanted.size === 0) return [];
    const include = [...wanted.keys()];
    const tar = copying.files.readTree(remote, { include, signal: copying.signal });
    const source = new Draining(tar);
    for await (const entry of readTar(new ByteReader(source))) {
      const path = Buffer.from(entry.path, "latin1").toString();
      const file = entry.type === "0" ? wanted.get(path) : undefined;
      if (file === undefined) continue;
      await place.writeFile(file, entry);
      wanted.delete(path);
      copying.arrived();
      copying.progress(file.size);
    }
    return await source.rest();
  });
  return { missed: [...wanted.values()], reasons };
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
