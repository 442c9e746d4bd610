import { constants, fstat, open } from "node:fs";
import { unlink } from "node:fs/promises";
import { promisify } from "node:util";
import { AgentError } from "../errors.ts";
import { codeOf } from "../lib/error-text.ts";
import type { HeldDirectory } from "./held-directory.ts";
import { fromRawPath, type RawPath } from "./raw-path.ts";
import { giveBack, reserveSpace } from "./space.ts";
import { StagedSum } from "./staged-sum.ts";
import { closeFd } from "./upload-target.ts";

/** How often somebody may take the name away just when the file is to be made. */
const MOST_ATTEMPTS = 40;

const openFd = promisify(open);
const statFd = promisify(fstat);

/**
 * A file that grows at its end until it is complete, and knows its SHA-256. It may be closed in
 * between and found again by its name, also by another life of the agent.
 */
export class StagedFile implements AsyncDisposable {
  readonly directory: HeldDirectory;
  readonly name: RawPath;
  readonly fd: number;
  readonly #sum: StagedSum;

  private constructor(
    directory: HeldDirectory,
    name: RawPath,
    opened: { fd: number; sum: StagedSum },
  ) {
    this.directory = directory;
    this.name = name;
    this.fd = opened.fd;
    this.#sum = opened.sum;
  }

  /**
   * Opens what is there by this name, if it is of this agent's making, or makes it. `sum` is what
   * is known of it. The directory is closed with the file.
   */
  static async open(
    directory: HeldDirectory,
    name: RawPath,
    sum: StagedSum = new StagedSum(),
  ): Promise<StagedFile> {
    for (let attempt = 0; attempt < MOST_ATTEMPTS; attempt += 1) {
      const path = directory.pathOf(name);
      const fd = (await openOwn(path, sum)) ?? (await create(path, sum));
      if (fd !== undefined) return new StagedFile(directory, name, { fd, sum });
    }
    const message = `something else keeps the name ${fromRawPath(name)} in the file's directory`;
    throw new AgentError("wrong-state", message);
  }

  /** How many bytes are in it. */
  get bytes(): number {
    return this.#sum.bytes;
  }

  /** Makes sure that `bytes` bytes find room. Fails as the system fails, and changes nothing then. */
  async reserve(bytes: number): Promise<void> {
    if (bytes > this.bytes) await reserveSpace(this.fd, bytes, this.bytes);
  }

  /** Adds bytes at the end, which must not change until this resolves. One call at a time. */
  async append(bytes: Uint8Array): Promise<void> {
    await this.#sum.add(this.fd, bytes);
  }

  /** Gives back what was reserved too much, and tells the SHA-256 of all that is in it. */
  async finish(): Promise<Buffer> {
    await giveBack(this.fd, this.bytes);
    return await this.#sum.digest(this.fd);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await closeFd(this.fd);
    await this.directory[Symbol.asyncDispose]();
  }
}

/** `undefined` when nothing is there, or nothing of the agent's making. */
async function openOwn(path: string | Buffer, sum: StagedSum): Promise<number | undefined> {
  const flags = constants.O_RDWR | constants.O_NOFOLLOW | constants.O_NONBLOCK;
  const fd = await openFd(path, flags).catch(nothing);
  if (fd === undefined) return undefined;
  if (sum.accepts(await statFd(fd))) return fd;
  await closeFd(fd);
  return undefined;
}

/** `undefined` when somebody else has made something there. */
async function create(path: string | Buffer, sum: StagedSum): Promise<number | undefined> {
  await unlink(path).catch(nothing);
  sum.begin();
  const flags = constants.O_RDWR | constants.O_CREAT | constants.O_EXCL;
  const fd = await openFd(path, flags, 0o600).catch((cause: unknown) => {
    if (codeOf(cause) !== "EEXIST") throw cause;
  });
  if (fd !== undefined) sum.accepts(await statFd(fd));
  return fd ?? undefined;
}

function nothing(cause: unknown): undefined {
  const code = codeOf(cause);
  // A link, a socket, a directory: not ours either.
  if (code !== "ENOENT" && code !== "ELOOP" && code !== "ENXIO" && code !== "EISDIR") throw cause;
}
