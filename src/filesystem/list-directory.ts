import { readdir, stat } from "node:fs/promises";
import { getHeapStatistics } from "node:v8";
import { AgentError } from "../errors.ts";
import { mapConcurrently } from "../lib/concurrently.ts";
import { codeOf, messageOf } from "../lib/error-text.ts";
import { type AccountNames, type Entry, type FoundEntry, readRawEntry } from "./entries.ts";
import { joinPath } from "./paths.ts";
import { fromRawPath, joinRawPath, type RawPath, systemPath, toRawPath } from "./raw-path.ts";
import { resolveLinks } from "./resolve-links.ts";
import { sortNames } from "./sort-names.ts";

/** How many entries are looked at at once: enough for the pool of threads, little for others. */
const CONCURRENCY = 16;
/** What an entry takes of the heap until the answer has left, translated and in JSON. */
const ENTRY_BYTES = 4_096;
const MOST_ENTRIES = 500_000;

/** What to list. */
export interface ListRequest {
  /** An absolute path, which may be a link to a directory. */
  path: string;
  /** How many levels; 0 means 1. */
  depth: number;
  /** The bound of the listing; default 500,000 entries, or what the heap can hold if that is less. */
  mostEntries?: number;
}

/**
 * Describes what is below a directory: depth first, parents before children, names in the order of
 * their bytes, links not entered. What vanishes meanwhile is left out. Abort stops the walk.
 * More than `mostEntries` are `exhausted`.
 */
export async function listDirectory(
  request: ListRequest,
  names: AccountNames,
  signal: AbortSignal,
): Promise<Entry[]> {
  const root = await resolveDirectory(request.path);
  const listing = new Listing(root, request, rememberNames(names), signal);
  return await listing.read();
}

async function resolveDirectory(path: string): Promise<RawPath> {
  try {
    const root = await resolveLinks(toRawPath(path));
    if ((await stat(systemPath(root))).isDirectory()) return root;
  } catch (cause) {
    throw toAgentError(cause, path);
  }
  throw new AgentError("invalid", `path is not a directory: ${path}`);
}

function toAgentError(cause: unknown, path: string): AgentError {
  if (cause instanceof AgentError) return cause;
  if (codeOf(cause) === "ENOENT") {
    return new AgentError("not-found", `path not found: ${messageOf(cause)}`, { cause });
  }
  return new AgentError("internal", `error reading directory ${path}: ${messageOf(cause)}`, {
    cause,
  });
}

/** One walk. */
class Listing {
  readonly #root: RawPath;
  readonly #requested: string;
  readonly #depth: number;
  readonly #mostEntries: number;
  readonly #names: AccountNames;
  readonly #signal: AbortSignal;
  readonly #entries: Entry[] = [];

  constructor(root: RawPath, request: ListRequest, names: AccountNames, signal: AbortSignal) {
    this.#root = root;
    this.#requested = request.path;
    this.#depth = Math.max(1, request.depth);
    this.#mostEntries = request.mostEntries ?? mostEntries();
    this.#names = names;
    this.#signal = signal;
  }

  async read(): Promise<Entry[]> {
    // What is still to be taken up, per level: an explicit stack, as trees may be deep.
    const levels = [(await this.#children("")).values()];
    for (let level = levels.at(-1); level !== undefined; level = levels.at(-1)) {
      const { value: child } = level.next();
      if (child === undefined) {
        levels.pop();
        continue;
      }
      this.#entries.push(child.entry);
      if (child.isRealDirectory && levels.length < this.#depth) {
        levels.push((await this.#children(child.below)).values());
      }
    }
    return this.#entries;
  }

  /** The children of the directory that lies `below` the root, in order. */
  async #children(below: RawPath): Promise<(FoundEntry & { below: RawPath })[]> {
    this.#signal.throwIfAborted();
    const found = await readdir(systemPath(joinRawPath(this.#root, below)), "latin1").catch(
      (cause: unknown) => this.#nothingIfGone(cause),
    );
    this.#checkBound(found.length);
    const children = (await sortNames(found)).map((name) => joinRawPath(below, name));
    const entries = await mapConcurrently(
      children,
      CONCURRENCY,
      (child) => this.#describe(child),
      this.#signal,
    );
    return entries.filter((entry) => entry !== undefined);
  }

  async #describe(below: RawPath): Promise<(FoundEntry & { below: RawPath }) | undefined> {
    const raw = joinRawPath(this.#root, below);
    const path = joinPath(this.#requested, fromRawPath(below));
    try {
      const { entry, isRealDirectory } = await readRawEntry(raw, path, this.#names);
      return { entry, isRealDirectory, below };
    } catch (cause) {
      this.#nothingIfGone(cause);
      return undefined;
    }
  }

  #checkBound(more: number): void {
    if (this.#entries.length + more <= this.#mostEntries) return;
    throw new AgentError(
      "exhausted",
      `more than ${this.#mostEntries} entries below ${this.#requested}: list fewer levels`,
    );
  }

  #nothingIfGone(cause: unknown): never[] {
    const code = codeOf(cause);
    if (code === "ENOENT" || code === "ENOTDIR") return [];
    throw toAgentError(cause, this.#requested);
  }
}

function mostEntries(): number {
  return Math.min(MOST_ENTRIES, Math.floor(getHeapStatistics().heap_size_limit / ENTRY_BYTES));
}

/** Remembers every answer, which is right for as long as one listing takes. */
function rememberNames(names: AccountNames): AccountNames {
  return {
    nameOf: remember((uid) => names.nameOf(uid)),
    groupNameOf: remember((gid) => names.groupNameOf(gid)),
  };
}

function remember(find: (id: number) => string): (id: number) => string {
  const known = new Map<number, string>();
  return (id) => {
    const name = known.get(id) ?? find(id);
    known.set(id, name);
    return name;
  };
}
