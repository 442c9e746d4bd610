import { closeSync, constants, openSync } from "node:fs";
import { openDescriptor, openPipe } from "../system/descriptors.ts";
import { errnoName, libcFunction, SystemError } from "../system/libc.ts";
import { withMark } from "../system/mark.ts";

/** What a child is before it becomes the command. */
export interface SpawnOptions {
  /** The command and its arguments; looked up in the PATH of `environment`. */
  argv: readonly string[];
  /** `NAME=value` each; nothing else is inherited. */
  environment: readonly string[];
  /** Entered with the rights of the user. */
  cwd: string;
  /** Descriptors that become stdin, stdout and stderr. They stay open here. */
  stdio: readonly [number, number, number];
  /** Whether stdin is a terminal that becomes the child's controlling terminal. */
  hasTerminal: boolean;
  /** Who the command runs as; `undefined` keeps the agent's own rights. */
  credentials: { uid: number; gid: number; groups: readonly number[] } | undefined;
  /** The cgroup.procs file to enter before anything else; `undefined` enters none. */
  cgroupProcs: string | undefined;
  /** What it and all that it starts can be told by, from `newMark`. */
  mark: string;
}

/** A step before the command failed, so that no command ran. */
export class SpawnError extends Error {
  /** What failed: `spawn`, `chdir`, `credentials`, `terminal` or `exec`. */
  readonly step: string;
  /** The errno's name, as in `ENOENT`. */
  readonly code: string;

  constructor(step: string, code: string) {
    super(`${step}: ${code}`);
    this.name = "SpawnError";
    this.step = step;
    this.code = code;
  }
}

/** A child that has been forked. */
export interface Spawned {
  /** The pid of the helper, and so of the command it becomes. */
  pid: number;
  /** Resolves when the command has been executed; rejects with `SpawnError` when it will not be. */
  executed: Promise<void>;
}

/** OOM score of every command: it goes before the agent does. From the envd contract. */
const OOM_SCORE = 100;
/** Best-effort class, level 4: what a process has that never asked. From the envd contract. */
const IO_PRIORITY = (2 << 13) | 4;
/** umask of every command, octal 022. */
const UMASK = 0o022;

const STEPS: Record<string, string> = {
  d: "chdir",
  G: "credentials",
  g: "credentials",
  u: "credentials",
  t: "terminal",
  x: "exec",
};

const POSIX_SPAWN =
  "int posix_spawn(_Out_ int *pid, const char *path, void *actions, void *attributes, const char **argv, const char **envp)";

/**
 * Starts programs. `posix_spawn` costs the same however large the agent is, where a fork copies
 * its page tables; what a child needs beyond that is done in the child by `thaw-spawn`, which
 * then becomes the command.
 */
export class Spawner {
  readonly #helper: string;
  readonly #softFileLimit: number | undefined;

  /** `softFileLimit`: the soft limit of open files for commands; Node raises its own. */
  constructor(helper: string, softFileLimit?: number) {
    this.#helper = helper;
    this.#softFileLimit = softFileLimit;
  }

  /** Starts `options.argv`. Throws `SpawnError` when no child could be made. */
  spawn(options: SpawnOptions): Spawned {
    const status = openPipe();
    const argv = [
      "thaw-spawn",
      this.#settings(options),
      options.cgroupProcs ?? "",
      options.cwd,
      ...options.argv,
      null,
    ];
    const environment = [...options.environment, null];
    const actions = fileActions([...options.stdio, status.writeFd]);
    const pid = new Int32Array(1);
    const spawn = libcFunction(POSIX_SPAWN);
    const start = () => Number(spawn(pid, this.#helper, actions, null, argv, environment));
    const errno = withMark(options.mark, start);
    libcFunction("int posix_spawn_file_actions_destroy(void *actions)")(actions);
    closeSync(status.writeFd);
    if (errno !== 0) {
      closeSync(status.readFd);
      throw new SpawnError("spawn", errnoName(errno));
    }
    return { pid: pid[0] as number, executed: readStatus(status.readFd) };
  }

  #settings(options: SpawnOptions): string {
    const words = [`m${UMASK}`, `o${OOM_SCORE}`, "n0", `i${IO_PRIORITY}`];
    if (options.hasTerminal) words.push("t");
    if (this.#softFileLimit !== undefined) words.push(`l${this.#softFileLimit}`);
    if (options.credentials !== undefined) {
      const { uid, gid, groups } = options.credentials;
      words.push(`G${groups.join(",")}`, `g${gid}`, `u${uid}`);
    }
    return words.join(" ");
  }
}

/** Makes `fds` the child's descriptors 0, 1, 2 and 3. */
function fileActions(fds: readonly number[]): Buffer {
  // posix_spawn_file_actions_t has 80 bytes in glibc and musl on 64-bit machines.
  const actions = Buffer.alloc(80);
  libcFunction("int posix_spawn_file_actions_init(void *actions)")(actions);
  const add = libcFunction("int posix_spawn_file_actions_adddup2(void *actions, int from, int to)");
  for (const [to, from] of fds.entries()) {
    const errno = Number(add(actions, from, to));
    if (errno !== 0) throw new SystemError("posix_spawn_file_actions_adddup2", errno);
  }
  return actions;
}

const statusBuffer = Buffer.alloc(64);

/** The helper writes eight bytes when it fails; becoming the command closes the pipe. */
function readStatus(fd: number): Promise<void> {
  return new Promise((resolve, reject) => {
    const report = Buffer.alloc(8);
    let size = 0;
    const socket = openDescriptor(fd, {
      buffer: statusBuffer,
      onBytes: (bytes) => {
        size += Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length).copy(report, size);
        return true;
      },
    });
    socket.once("error", () => {});
    socket.once("close", () => {
      if (size < report.length) {
        resolve();
        return;
      }
      const step = String.fromCharCode(report.readInt32LE(0));
      reject(new SpawnError(STEPS[step] ?? "spawn", errnoName(report.readInt32LE(4))));
    });
  });
}

/** A descriptor of /dev/null for programs without stdin. The caller closes it. */
export function openNull(): number {
  return openSync("/dev/null", constants.O_RDONLY);
}
