import type { BigIntStats } from "node:fs";
import { lstat, readdir, readlink } from "node:fs/promises";
import { mapConcurrently } from "../lib/concurrently.ts";
import { codeOf, messageOf } from "../lib/error-text.ts";
import { joinRawPath, type RawPath, systemPath } from "./raw-path.ts";
import { sortNames } from "./sort-names.ts";
import { isStagedName } from "./staged-name.ts";

/** How many entries of a directory are looked at together. */
const SLICE = 256;
/** How many at once: enough for the pool of threads, little for others. */
const CONCURRENCY = 16;

/** One path below the root of a walk. */
export interface WalkedEntry {
  /** Relative to the root. */
  path: RawPath;
  /** Of itself, links not followed. */
  stats: BigIntStats;
  /** What a link says. */
  linkTarget: RawPath | undefined;
}

/** How a walk goes. */
export interface WalkOptions {
  /** Absolute. */
  root: RawPath;
  /** Where below the root it begins; "" is all of it. What is there itself is not given. */
  from?: RawPath;
  /** Told of what cannot be looked at; what vanishes meanwhile is left out. */
  onSkipped: (path: RawPath, reason: string) => void;
  /** Ends the walk. */
  signal: AbortSignal;
}

/**
 * Walks what is below a directory: parents before children, names in byte order, links not followed,
 * uploads on their way left out. Holds the names of the directories on the way, and few entries.
 */
export async function* walkTree(options: WalkOptions): AsyncIterable<WalkedEntry> {
  const levels = [entriesOf(options.from ?? "", options)];
  try {
    for (let level = levels.at(-1); level !== undefined; level = levels.at(-1)) {
      const { value: entry, done } = await level.next();
      if (done === true) {
        levels.pop();
        continue;
      }
      yield entry;
      if (entry.stats.isDirectory()) levels.push(entriesOf(entry.path, options));
    }
  } finally {
    for (const level of levels) await level.return(undefined);
  }
}

/** Looks at one path. `undefined` when it has gone. */
export async function lookAt(
  path: RawPath,
  { root, onSkipped }: WalkOptions,
): Promise<WalkedEntry | undefined> {
  const full = systemPath(joinRawPath(root, path));
  try {
    const stats = await lstat(full, { bigint: true });
    const linkTarget = stats.isSymbolicLink() ? await readlink(full, "latin1") : undefined;
    return { path, stats, linkTarget };
  } catch (cause) {
    skipUnlessGone(path, cause, onSkipped);
    return undefined;
  }
}

async function* entriesOf(
  directory: RawPath,
  options: WalkOptions,
): AsyncGenerator<WalkedEntry, void, undefined> {
  const { root, onSkipped, signal } = options;
  const found = await readdir(systemPath(joinRawPath(root, directory)), "latin1").catch(
    (cause: unknown) => {
      skipUnlessGone(directory, cause, onSkipped);
      return [];
    },
  );
  const names = await sortNames(found);
  for (let at = 0; at < names.length; at += SLICE) {
    signal.throwIfAborted();
    const slice = names.slice(at, at + SLICE).filter((name) => !isStagedName(name));
    const look = (name: RawPath) => lookAt(joinRawPath(directory, name), options);
    const entries = await mapConcurrently(slice, CONCURRENCY, look, signal);
    for (const entry of entries) if (entry !== undefined) yield entry;
  }
}

function skipUnlessGone(path: RawPath, cause: unknown, onSkipped: WalkOptions["onSkipped"]): void {
  const code = codeOf(cause);
  if (code === undefined) throw cause;
  if (code !== "ENOENT" && code !== "ENOTDIR") onSkipped(path, messageOf(cause));
}
