import { type Dirent, readdirSync, readFileSync } from "node:fs";
import { dirname, join, relative } from "node:path";

/**
 * Groups that must go on while the guest is frozen, because coming back depends on them: process
 * 1, the log the agent writes to, what an NFS mount needs, and the port relays.
 */
const ALLOWED = [
  "init.scope",
  "system.slice/systemd-journald.service",
  "system.slice/rpcbind.service",
  "system.slice/rpcbind.socket",
  "system.slice/rpc-statd.service",
  "socats",
] as const;

/**
 * - `own`      the agent lives in it or below it.
 * - `allowed`  it, or what it is part of, must go on.
 * - `parent`   it is no business of a freeze, but something below it must go on.
 * - `workload` everything else.
 */
export type GroupRole = "own" | "allowed" | "parent" | "workload";

/** Which groups below `root` a freeze may touch, when the agent lives in `own`. */
export class GroupTree {
  readonly #root: string;
  readonly #own: string;
  readonly #allowed: string[];
  readonly #parents = new Set<string>();

  constructor(root: string, own: string) {
    this.#root = root;
    this.#own = own;
    this.#allowed = ALLOWED.map((name) => join(root, name));
    for (const group of this.#allowed) this.#addParents(dirname(group));
    if (isInside(own, root)) this.#addParents(own);
    this.#parents.add(root);
  }

  role(group: string): GroupRole {
    if (isInside(this.#own, group)) return "own";
    if (this.#allowed.some((allowed) => isInside(group, allowed))) return "allowed";
    return this.#parents.has(group) ? "parent" : "workload";
  }

  /**
   * The topmost groups of each role but `own` and `parent`: freezing the `workload` ones stops
   * all that may be stopped.
   */
  *tops(): Generator<{ group: string; role: "allowed" | "workload" }> {
    for (const parent of this.#parents) {
      for (const group of childrenOf(parent)) {
        const role = this.role(group);
        if (role === "allowed" || role === "workload") yield { group, role };
      }
    }
  }

  /** Every group below the root, parents first. */
  *all(): Generator<string> {
    const pending = childrenOf(this.#root);
    for (let group = pending.shift(); group !== undefined; group = pending.shift()) {
      yield group;
      pending.push(...childrenOf(group));
    }
  }

  #addParents(from: string): void {
    for (let group = from; isInside(group, this.#root); group = dirname(group)) {
      this.#parents.add(group);
      if (group === this.#root) return;
    }
  }
}

/**
 * The directory of the group the agent lives in, as seen through the hierarchy that holds `root`;
 * "/" when it lives outside of all that can be seen there, `undefined` when nobody knows.
 */
export function ownGroup(root: string): string | undefined {
  return findOwnGroup(
    root,
    readFileSync("/proc/self/cgroup", "utf8"),
    readFileSync("/proc/self/mountinfo", "utf8"),
  );
}

/** `ownGroup` from the texts of the kernel. */
export function findOwnGroup(root: string, cgroup: string, mountinfo: string): string | undefined {
  const own = /^0::(\/.*)$/m.exec(cgroup)?.[1];
  const mount = cgroup2Mounts(mountinfo)
    .filter(({ point }) => isInside(root, point))
    .sort((a, b) => b.point.length - a.point.length)[0];
  if (own === undefined || mount === undefined) return undefined;
  // A path that climbs out of the namespace's root is in no group that can be reached here.
  if (own.startsWith("/..") || !isInside(own, mount.root)) return "/";
  return join(mount.point, relative(mount.root, own));
}

/** Each line: id, parent, device, root, mount point, options, …, "-", type, source, options. */
function cgroup2Mounts(mountinfo: string): { root: string; point: string }[] {
  return mountinfo
    .split("\n")
    .filter((line) => line.includes(" - cgroup2 "))
    .map((line) => line.split(" "))
    .map((fields) => ({ root: unescape(fields[3] ?? ""), point: unescape(fields[4] ?? "") }));
}

function unescape(path: string): string {
  return path.replace(/\\([0-7]{3})/g, (_, octal: string) =>
    String.fromCharCode(Number.parseInt(octal, 8)),
  );
}

function isInside(path: string, directory: string): boolean {
  return path === directory || path.startsWith(directory === "/" ? "/" : `${directory}/`);
}

function childrenOf(group: string): string[] {
  try {
    return readdirSync(group, { withFileTypes: true })
      .filter((entry: Dirent) => entry.isDirectory())
      .map((entry) => join(group, entry.name));
  } catch {
    // It was removed meanwhile, and with it all below.
    return [];
  }
}
