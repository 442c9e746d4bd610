import { constants } from "node:fs";
import { type FileHandle, open, readdir, rmdir, unlink } from "node:fs/promises";
import { AgentError } from "../errors.ts";
import { mapConcurrently } from "../lib/concurrently.ts";
import { codeOf, messageOf } from "../lib/error-text.ts";
import { joinRawPath, type RawPath, systemPath, toRawPath } from "./raw-path.ts";

const CONCURRENCY = 8;
/** How often a directory is emptied again when somebody goes on to fill it. */
const MOST_PASSES = 10;

/**
 * Removes a path and everything below it; of a link only the link. A missing path is no error.
 * After a failure the rest is removed all the same. Abort stops half-way.
 */
export async function remove(path: string, signal: AbortSignal): Promise<void> {
  const raw = withoutTrailingSlashes(toRawPath(path));
  if (raw === "" || /\/\.{1,2}$/.test(raw)) {
    throw new AgentError(
      "internal",
      `error removing file or directory: ${path}: invalid argument: name what is to be removed`,
    );
  }
  const removal = new Removal(signal);
  await removal.remove(raw);
  signal.throwIfAborted();
  if (removal.failures === 0) return;
  const cause = removal.firstFailure;
  throw new AgentError("internal", `error removing file or directory: ${messageOf(cause)}`, {
    cause,
  });
}

/** One removal, which counts what could not be removed. */
class Removal {
  readonly #signal: AbortSignal;
  failures = 0;
  firstFailure: unknown;

  constructor(signal: AbortSignal) {
    this.#signal = signal;
  }

  async remove(path: RawPath): Promise<void> {
    await this.#attempt(async () => {
      if (await this.#unlink(path)) return;
      await this.#removeDirectory(path);
    });
  }

  /** `false` when the path is a directory. */
  async #unlink(path: RawPath): Promise<boolean> {
    try {
      await unlink(systemPath(path));
      return true;
    } catch (error) {
      if (codeOf(error) === "EISDIR") return false;
      throw error;
    }
  }

  async #removeDirectory(path: RawPath): Promise<void> {
    for (let pass = 1; !this.#signal.aborted; pass += 1) {
      try {
        return await rmdir(systemPath(path));
      } catch (error) {
        if (codeOf(error) !== "ENOTEMPTY" || pass > MOST_PASSES) throw error;
      }
      const failuresBefore = this.failures;
      await this.#empty(path);
      // What is left makes the directory stay, for a reason that is already known.
      if (this.failures > failuresBefore) return;
    }
  }

  /**
   * Goes through a descriptor, so that a link which somebody puts in the place of the directory
   * leads nowhere, and so that a tree may be deeper than a path can be long.
   */
  async #empty(path: RawPath): Promise<void> {
    await using directory = await openDirectory(path);
    const inside = `/proc/self/fd/${directory.fd}`;
    const names = await readdir(inside, "latin1");
    const directories: RawPath[] = [];
    await mapConcurrently(names, CONCURRENCY, async (name) => {
      if (this.#signal.aborted) return;
      const child = joinRawPath(inside, name);
      await this.#attempt(async () => {
        if (!(await this.#unlink(child))) directories.push(child);
      });
    });
    for (const child of directories) {
      await this.#attempt(() => this.#removeDirectory(child));
    }
  }

  /** What is gone already needs no removal, whoever did it. */
  async #attempt(act: () => Promise<void>): Promise<void> {
    try {
      await act();
    } catch (error) {
      if (codeOf(error) === "ENOENT") return;
      this.failures += 1;
      this.firstFailure ??= error;
    }
  }
}

async function openDirectory(path: RawPath): Promise<FileHandle> {
  return await open(
    systemPath(path),
    constants.O_RDONLY | constants.O_DIRECTORY | constants.O_NOFOLLOW,
  );
}

function withoutTrailingSlashes(path: RawPath): RawPath {
  let end = path.length;
  while (end > 0 && path[end - 1] === "/") end -= 1;
  return path.slice(0, end);
}
