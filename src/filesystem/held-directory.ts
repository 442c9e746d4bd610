import { constants, fsync, open } from "node:fs";
import { promisify } from "node:util";
import { codeOf } from "../lib/error-text.ts";
import { type RawPath, systemPath } from "./raw-path.ts";
import { closeFd } from "./upload-target.ts";

const openFd = promisify(open);
const syncFd = promisify(fsync);

/** What file systems answer that cannot make a directory last. */
const CANNOT_SYNC: readonly unknown[] = ["EINVAL", "ENOTSUP", "EOPNOTSUPP", "ENOSYS", "EBADF"];

/**
 * An open directory. What is reached through it is in it, whatever is put in the place of its path
 * meanwhile, links included.
 */
export class HeldDirectory implements AsyncDisposable {
  readonly #fd: number;

  /** The descriptor, as long as it is open. */
  get fd(): number {
    return this.#fd;
  }

  private constructor(fd: number) {
    this.#fd = fd;
  }

  /** Opens the directory at `path`; links are followed. Fails as the system fails. */
  static async open(path: RawPath): Promise<HeldDirectory> {
    const flags = constants.O_RDONLY | constants.O_DIRECTORY;
    return new HeldDirectory(await openFd(systemPath(path), flags));
  }

  /** Opens the directory `name` in this one. A link is `ENOTDIR` or `ELOOP`, wherever it leads. */
  async openChild(name: RawPath): Promise<HeldDirectory> {
    const flags = constants.O_RDONLY | constants.O_DIRECTORY | constants.O_NOFOLLOW;
    return new HeldDirectory(await openFd(this.pathOf(name), flags));
  }

  /** What `name` in this directory is to be called in system calls; "" is the directory itself. */
  pathOf(name: RawPath): string | Buffer {
    return systemPath(this.rawPathOf(name));
  }

  /** The same, byte for byte. */
  rawPathOf(name: RawPath): RawPath {
    return `/proc/self/fd/${this.#fd}/${name}`;
  }

  /** Makes what was renamed into it last, where the file system can do that. */
  async sync(): Promise<void> {
    await syncFd(this.#fd).catch((cause: unknown) => {
      if (!CANNOT_SYNC.includes(codeOf(cause))) throw cause;
    });
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await closeFd(this.#fd);
  }
}
