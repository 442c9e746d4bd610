import { fchown } from "node:fs";
import { mkdir } from "node:fs/promises";
import { promisify } from "node:util";
import { AgentError } from "../errors.ts";
import { codeOf } from "../lib/error-text.ts";
import type { HeldDirectory } from "./held-directory.ts";
import { fromRawPath, type RawPath } from "./raw-path.ts";

/** How deep a tree may be. Each level holds a descriptor. */
const MOST_LEVELS = 256;

const chownFd = promisify(fchown);

/**
 * The way from a root down to the directory that is worked in. Each step is taken from the directory
 * before, and through no link: nothing below the root can lead out of it, whoever changes it
 * meanwhile.
 */
export class DirectoryPath implements AsyncDisposable {
  readonly #root: HeldDirectory;
  readonly #owner: { uid: number; gid: number };
  readonly #levels: { name: RawPath; directory: HeldDirectory }[] = [];

  /** `owner`: of the directories that are made on the way. The root is closed with the path. */
  constructor(root: HeldDirectory, owner: { uid: number; gid: number }) {
    this.#root = root;
    this.#owner = owner;
  }

  /**
   * The directory at these names below the root, open until the next call. What is missing is made
   * where `makes` says so, and `not-found` else; a link or anything else on the way is `invalid`.
   */
  async enter(names: readonly RawPath[], makes = true): Promise<HeldDirectory> {
    if (names.length > MOST_LEVELS) {
      const message = `${describe(names)} is more than ${MOST_LEVELS} directories deep`;
      throw new AgentError("invalid", message);
    }
    await this.#leaveTo(names);
    while (this.#levels.length < names.length) {
      const name = names[this.#levels.length] ?? "";
      const parent = this.#levels.at(-1)?.directory ?? this.#root;
      const way = names.slice(0, this.#levels.length + 1);
      const directory = await this.#open(parent, name, { way, makes });
      this.#levels.push({ name, directory });
    }
    return this.#levels.at(-1)?.directory ?? this.#root;
  }

  /** Another way from the same root, to be closed for itself. */
  async another(): Promise<DirectoryPath> {
    return new DirectoryPath(await this.#root.openChild("."), this.#owner);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#leaveTo([]);
    await this.#root[Symbol.asyncDispose]();
  }

  /** Goes up to where the way to `names` parts from the one taken. */
  async #leaveTo(names: readonly RawPath[]): Promise<void> {
    let shared = 0;
    while (shared < names.length && this.#levels[shared]?.name === names[shared]) shared += 1;
    for (const { directory } of this.#levels.splice(shared)) {
      await directory[Symbol.asyncDispose]();
    }
  }

  async #open(
    parent: HeldDirectory,
    name: RawPath,
    { way, makes }: { way: readonly RawPath[]; makes: boolean },
  ): Promise<HeldDirectory> {
    const found = await parent.openChild(name).catch((cause: unknown) => {
      if (codeOf(cause) !== "ENOENT" || !makes) throw wayError(cause, way);
    });
    if (found !== undefined) return found;
    await mkdir(parent.pathOf(name), 0o755).catch((cause: unknown) => {
      if (codeOf(cause) !== "EEXIST") throw wayError(cause, way);
    });
    const made = await parent.openChild(name).catch((cause: unknown) => {
      throw wayError(cause, way);
    });
    await chownFd(made.fd, this.#owner.uid, this.#owner.gid);
    return made;
  }
}

function describe(names: readonly RawPath[]): string {
  return JSON.stringify(fromRawPath(names.join("/")));
}

function wayError(cause: unknown, way: readonly RawPath[]): unknown {
  const code = codeOf(cause);
  if (code === "ENOENT") {
    return new AgentError("not-found", `${describe(way)} is not there`, { cause });
  }
  if (code !== "ELOOP" && code !== "ENOTDIR" && code !== "EMLINK") return cause;
  return new AgentError("invalid", `${describe(way)} is a link or no directory`, { cause });
}
