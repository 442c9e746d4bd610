import { closeSync, constants, openSync } from "node:fs";
import { Lock } from "../lib/lock.ts";
import { startTimer } from "../lib/timer.ts";
import { callLibc, libcFunction, SystemError } from "./libc.ts";

const FIFREEZE = 0xc0045877;
const FITHAW = 0xc0045878;
const IOCTL = "int ioctl(int fd, uint64_t request, int64_t argument)";
const SYNCFS = "int syncfs(int fd)";
/** A freeze that nobody undoes is undone after this: a live machine cannot go on with one. */
const WATCHDOG_MS = 10 * 60 * 1_000;

/** What must not touch the file system while it is frozen, as writing would never return. */
export interface Quiet {
  hold(): void;
  release(): void;
}

/** Brings one file system to a consistent state on disk, where it stays until it is thawed. */
export class FileSystemFreeze {
  readonly #path: string;
  readonly #quiet: Quiet;
  readonly #lock = new Lock();
  #watchdog: Disposable | undefined;

  /** `path` is any directory on the file system; default: that of the guest's root. */
  constructor(quiet: Quiet, path = "/") {
    this.#quiet = quiet;
    this.#path = path;
  }

  /**
   * Writes everything to disk and stops all further writing; on a frozen one it does nothing.
   * Rejects with the reason of `signal` when that aborts, and then nothing is left frozen.
   */
  async freeze(signal?: AbortSignal): Promise<void> {
    using _ = await this.#lock.acquire(signal);
    const fd = this.#open();
    try {
      // What is dirty goes first and in a thread, so that the freeze itself has little to write.
      await inThread(SYNCFS, fd);
      signal?.throwIfAborted();
      this.#quiet.hold();
      await this.#freezeDescriptor(fd);
      this.#watchdog?.[Symbol.dispose]();
      this.#watchdog = startTimer(WATCHDOG_MS, () => void this.close());
      // Who is gone will not call for the thaw.
      if (signal?.aborted === true) this.#thawDescriptor(fd);
    } finally {
      closeSync(fd);
    }
    signal?.throwIfAborted();
  }

  /** Lets writing go on; on one that is not frozen it does nothing. Cannot be cancelled. */
  async thaw(): Promise<void> {
    using _ = await this.#lock.acquire();
    const fd = this.#open();
    try {
      this.#thawDescriptor(fd);
    } finally {
      closeSync(fd);
    }
  }

  /** Undoes a freeze of this agent. */
  async close(): Promise<void> {
    if (this.#watchdog !== undefined) await this.thaw();
  }

  async #freezeDescriptor(fd: number): Promise<void> {
    const result = await inThread(IOCTL, fd, FIFREEZE, 0);
    if (result >= 0) return;
    try {
      // Threads lose errno; a second try at once says why the first has failed.
      callLibc(IOCTL, fd, FIFREEZE, 0);
    } catch (error) {
      if (isCode(error, "EBUSY")) return;
      this.#quiet.release();
      throw error;
    }
  }

  /** On the main thread: while the file system is frozen, all pool threads may be waiting for it. */
  #thawDescriptor(fd: number): void {
    try {
      callLibc(IOCTL, fd, FITHAW, 0);
    } catch (error) {
      if (!isCode(error, "EINVAL")) throw error;
    }
    this.#watchdog?.[Symbol.dispose]();
    this.#watchdog = undefined;
    this.#quiet.release();
  }

  #open(): number {
    return openSync(this.#path, constants.O_RDONLY | constants.O_DIRECTORY);
  }
}

function isCode(error: unknown, code: string): boolean {
  return error instanceof SystemError && error.code === code;
}

/** Calls `signature` without blocking the event loop. Gives the bare result. */
function inThread(signature: string, ...args: unknown[]): Promise<number> {
  return new Promise((resolve, reject) => {
    libcFunction(signature).async(...args, (error: Error | null, result: unknown) => {
      if (error === null) resolve(Number(result));
      else reject(error);
    });
  });
}
