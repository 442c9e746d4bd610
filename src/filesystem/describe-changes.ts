import { mapConcurrently } from "../lib/concurrently.ts";
import { codeOf } from "../lib/error-text.ts";
import type { RawChange } from "./change-log.ts";
import { type AccountNames, type Entry, readRawEntry } from "./entries.ts";
import { joinPath } from "./paths.ts";
import { fromRawPath, joinRawPath, type RawPath, toRawPath } from "./raw-path.ts";
import type { ChangeKind } from "./watch-tree.ts";

/** How many changed paths are looked at at once. */
const CONCURRENCY = 16;

/** One change below a watched directory. */
export interface Change {
  kind: ChangeKind;
  /** Relative to the watched directory; "." is the directory itself. */
  name: string;
  /** Only when asked for: the path at delivery, unless it was removed or moved away. */
  entry: Entry | undefined;
}

/** Which changes are described, and how. */
export interface DescribeOptions {
  names: AccountNames;
  /** The watched directory. */
  path: string;
  /** Whether changes describe their path. */
  includesEntries: boolean;
}

/** Puts changes into words just before they are delivered. */
export async function describeChanges(
  changes: readonly RawChange[],
  options: DescribeOptions,
  signal: AbortSignal,
): Promise<Change[]> {
  // One look at a path serves all its changes that are delivered together.
  const entries = new Map<RawPath, Entry | undefined>();
  if (options.includesEntries) {
    const names = [...new Set(changes.filter(hasEntry).map(({ name }) => name))];
    const look = (name: RawPath) => find(name, options);
    const found = await mapConcurrently(names, CONCURRENCY, look, signal);
    for (const [index, name] of names.entries()) entries.set(name, found[index]);
  }
  return changes.map((change) => ({
    kind: change.kind,
    name: change.name === "" ? "." : fromRawPath(change.name),
    entry: hasEntry(change) ? entries.get(change.name) : undefined,
  }));
}

async function find(name: RawPath, { path, names }: DescribeOptions): Promise<Entry | undefined> {
  const root = toRawPath(path);
  const raw = name === "" ? root : joinRawPath(root, name);
  const full = name === "" ? path : joinPath(path, fromRawPath(name));
  try {
    return (await readRawEntry(raw, full, names)).entry;
  } catch (error) {
    // Whatever the reason, there is nothing to describe.
    if (codeOf(error) !== undefined) return undefined;
    throw error;
  }
}

function hasEntry({ kind }: { kind: ChangeKind }): boolean {
  return kind === "create" || kind === "write" || kind === "chmod";
}
