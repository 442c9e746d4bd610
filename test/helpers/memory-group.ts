import {
  existsSync,
  mkdirSync,
  readFileSync,
  readlinkSync,
  rmdirSync,
  writeFileSync,
} from "node:fs";
import { join } from "node:path";
import { randomText } from "../../src/system/random.ts";

/** The files that bound a group's memory, by the version of cgroups. */
const LIMITS = ["memory.max", "memory.limit_in_bytes"];

/** A group for programs that are to run out of memory, gone when the scope is left. */
export class MemoryGroup implements Disposable {
  readonly #path: string;

  /** Throws where this machine has no such groups, or none that tests may make. */
  constructor(bytes: number) {
    const { path, limit } = makeGroup();
    this.#path = path;
    writeFileSync(join(path, limit), String(bytes));
  }

  /** A line of a shell that needs more memory than there is in the group, and no other. */
  get greedy(): string {
    // Bounded as well by a limit of its own, should it not come to be in the group.
    const steps = `echo $$ >${this.#path}/cgroup.procs && ulimit -v 2000000 && exec tail /dev/zero`;
    return `sh -c '${steps}'`;
  }

  [Symbol.dispose](): void {
    rmdirSync(this.#path);
  }
}

/** Why the kernel's log does not name programs by the pids they have here; `undefined`: it does. */
export function whyNoPids(): string | undefined {
  const isFirst = readlinkSync("/proc/self/ns/pid") === "pid:[4026531836]";
  return isFirst ? undefined : "these programs have a namespace of their own for pids";
}

/** Why tests cannot make such a group here, or not see who is killed; `undefined`: they can. */
export function whyNoMemoryGroup(): string | undefined {
  if (whyNoPids() !== undefined) return whyNoPids();
  try {
    using _ = new MemoryGroup(2 ** 30);
    return undefined;
  } catch (error) {
    return String(error);
  }
}

function makeGroup(): { path: string; limit: string } {
  for (const mount of memoryMounts()) {
    const path = join(mount, `thaw-test-${randomText(8)}`);
    mkdirSync(path);
    const limit = LIMITS.find((name) => existsSync(join(path, name)));
    if (limit !== undefined) return { path, limit };
    rmdirSync(path);
  }
  throw new Error("no cgroup hierarchy accounts for memory");
}

/** Each line: id, parent, device, root, mount point, options, …, "-", type, source, options. */
function memoryMounts(): string[] {
  return readFileSync("/proc/self/mountinfo", "utf8")
    .split("\n")
    .filter((line) => / - cgroup2 | - cgroup .*\bmemory\b/.test(line))
    .map((line) => line.split(" ")[4] as string);
}
