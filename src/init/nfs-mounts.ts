import { AgentError } from "../errors.ts";
import { Lock } from "../lib/lock.ts";
import type { Logger } from "../log.ts";
import { makeDirectories } from "../system/make-directories.ts";
import type { CommandLimits, CommandResult, RunCommand } from "../system/run-command.ts";
import type { Dialect } from "./settings.ts";

/** A volume of the host and where it belongs. */
export interface VolumeMount {
  /** As in `10.0.0.1:/volume`. */
  target: string;
  /** Absolute. */
  path: string;
}

const PASS_MS = 10_000;
const UNMOUNT_MS = 2_000;

const OPTIONS: Record<Dialect, string> = {
  e2b: "fg,hard,sync,rsize=1048576,wsize=1048576,mountproto=tcp,mountport=2049,proto=tcp,port=2049,nfsvers=3,noacl,noac,lookupcache=none",
  wrenn: "mountproto=tcp,mountport=2049,proto=tcp,port=2049,nfsvers=3,noacl",
};

/** Which volumes are mounted, and for which life of the sandbox. */
export class NfsMounts {
  readonly #options: string;
  readonly #run: RunCommand;
  readonly #log: Logger;
  readonly #lock = new Lock();
  /** By path, the life it was mounted in. */
  readonly #ledger = new Map<string, string>();

  constructor(dialect: Dialect, run: RunCommand, log: Logger) {
    this.#options = OPTIONS[dialect];
    this.#run = run;
    this.#log = log;
  }

  /**
   * Mounts all volumes that this life has not mounted yet, in at most 10 s. While another such
   * pass is under way it does nothing. Rejects with `invalid` when any of them fails; the others
   * are mounted all the same. `signal` ends the helpers.
   */
  async mount(
    mounts: readonly VolumeMount[],
    lifecycleId: string,
    signal: AbortSignal,
  ): Promise<void> {
    const pending = mounts.filter(({ path }) => this.#ledger.get(path) !== lifecycleId);
    if (pending.length === 0) return;
    using turn = this.#lock.tryAcquire();
    if (turn === undefined) return;
    const limits = { timeoutMs: PASS_MS, signal };
    const results = await Promise.allSettled(
      pending.map(async (mount) => {
        await this.#mountOne(mount, limits);
        this.#ledger.set(mount.path, lifecycleId);
      }),
    );
    const failures = results.filter((result) => result.status === "rejected");
    if (failures.length === 0) return;
    const reasons = failures.map(({ reason }) => (reason as Error).message);
    throw new AgentError("invalid", `mounting volumes: ${reasons.join("; ")}`);
  }

  async #mountOne({ target, path }: VolumeMount, limits: CommandLimits): Promise<void> {
    if (!path.startsWith("/") || path.includes("\0"))
      throw new Error(`no absolute path: "${path}"`);
    if (!/^[^-\0][^\0]*$/.test(target)) throw new Error(`no NFS target: "${target}"`);
    const deadline = AbortSignal.timeout(limits.timeoutMs);
    const within = { ...limits, signal: AbortSignal.any([deadline, limits.signal ?? deadline]) };
    if (await this.#isMounted(path, within)) await this.#unmount(path, within);
    await makeDirectories(path);
    const argv = ["mount", "-v", "-t", "nfs", "-o", this.#options, target, path] as const;
    const mounted = await this.#run(argv, within);
    if (mounted.exitCode !== 0) throw new Error(`mount "${path}": ${wordsOf(mounted)}`);
  }

  async #isMounted(path: string, limits: CommandLimits): Promise<boolean> {
    try {
      const argv = ["findmnt", "--noheadings", "--output", "SOURCE", path] as const;
      const found = await this.#run(argv, limits);
      if (found.exitCode === 0 || found.exitCode === 1) return found.exitCode === 0;
      throw new Error(`findmnt "${path}": ${wordsOf(found)}`);
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== "ENOENT") throw error;
      this.#log.warn("there is no findmnt: volumes are mounted over what may be there");
      return false;
    }
  }

  async #unmount(path: string, limits: CommandLimits): Promise<void> {
    const limited = { ...limits, timeoutMs: UNMOUNT_MS };
    const forced = await this.#run(["umount", "--force", path], limited).catch(() => undefined);
    if (forced?.exitCode === 0) return;
    const lazy = await this.#run(["umount", "--lazy", path], limited);
    if (lazy.exitCode !== 0) throw new Error(`umount "${path}": ${wordsOf(lazy)}`);
  }
}

function wordsOf(result: CommandResult): string {
  const words = result.stderr.trim() || result.stdout.trim();
  return words === "" ? `exit ${result.exitCode ?? "by a signal"}` : words;
}
