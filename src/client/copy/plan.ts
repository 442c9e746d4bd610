import type { TreePath } from "../trees.ts";

/** What makes one tree as another is. */
export interface Plan {
  /** Directories that are missing or have another mode, parents first. */
  directories: TreePath[];
  /** Files that are missing or different. */
  files: TreePath[];
  /** Links that are missing or different. */
  links: TreePath[];
  /** What is in the way: there as something else, or not to be there; children first. */
  removals: TreePath[];
  /** Devices, sockets and FIFOs, which are not copied. */
  ignored: TreePath[];
  /** What could not be looked at, with the reasons: it may be there, so nothing extra is removed. */
  unseen: string[];
  /** How many bytes of files are as they should be. */
  sameBytes: number;
  /** How many bytes of files are to be sent. */
  bytes: number;
}

/** What is compared. */
export interface Compared {
  source: readonly TreePath[];
  there: readonly TreePath[];
  /** What of the source could not be looked at, with the reasons. */
  unseen: string[];
}

/** How trees are compared. */
export interface PlanOptions {
  /** What is not in the source is removed. */
  deletes?: boolean | undefined;
  /** By content instead of by size and time. */
  byChecksum?: boolean | undefined;
}

/** Says what has to be done so that `there` becomes as `source` is. */
export function planCopy({ source, there, unseen }: Compared, options: PlanOptions): Plan {
  const { deletes = false, byChecksum = false } = options;
  const known = new Map(there.map((entry) => [entry.path, entry]));
  const plan: Plan = {
    directories: [],
    files: [],
    links: [],
    removals: [],
    ignored: [],
    unseen,
    sameBytes: 0,
    bytes: 0,
  };
  for (const entry of source) place(plan, entry, known.get(entry.path), byChecksum);
  if (deletes && unseen.length === 0) {
    const wanted = new Set(source.map(({ path }) => path));
    plan.removals.push(...there.filter(({ path }) => !wanted.has(path)));
  }
  plan.removals = withoutChildren(plan.removals);
  return plan;
}

function place(plan: Plan, entry: TreePath, old: TreePath | undefined, byChecksum: boolean): void {
  if (entry.kind === "other") {
    plan.ignored.push(entry);
    return;
  }
  const isOfKind = old?.kind === entry.kind;
  // A file or a link is replaced in one step; only directories are in the way, or in each other's.
  const isInTheWay = (old?.kind === "directory") !== (entry.kind === "directory");
  if (old !== undefined && !isOfKind && isInTheWay) plan.removals.push(old);
  if (entry.kind === "directory") {
    if (!isOfKind || !isSameMode(entry, old)) plan.directories.push(entry);
  } else if (entry.kind === "symlink") {
    if (!isOfKind || old?.linkTarget !== entry.linkTarget) plan.links.push(entry);
  } else if (old !== undefined && isOfKind && isSameFile(entry, old, byChecksum)) {
    plan.sameBytes += entry.size;
  } else {
    plan.files.push(entry);
    plan.bytes += entry.size;
  }
}

function isSameFile(one: TreePath, other: TreePath, byChecksum: boolean): boolean {
  if (one.size !== other.size || !isSameMode(one, other)) return false;
  if (!byChecksum) return isSameTime(one.modifiedAt, other.modifiedAt);
  return (
    one.sha256 !== undefined &&
    other.sha256 !== undefined &&
    Buffer.from(one.sha256).equals(other.sha256)
  );
}

function isSameMode(one: TreePath, other: TreePath | undefined): boolean {
  return (one.mode & 0o777) === ((other?.mode ?? 0) & 0o777);
}

/** Not every file system and archive keeps more than seconds. */
function isSameTime(one: Date | undefined, other: Date | undefined): boolean {
  const [a, b] = [one?.getTime() ?? 0, other?.getTime() ?? 0];
  if (Math.abs(a - b) <= 1) return true;
  const isCoarse = a % 1_000 === 0 || b % 1_000 === 0;
  return isCoarse && Math.floor(a / 1_000) === Math.floor(b / 1_000);
}

/** What goes with its directory needs no removal of its own. */
function withoutChildren(removals: readonly TreePath[]): TreePath[] {
  const paths = new Set(removals.map(({ path }) => path));
  return removals.filter(({ path }) => {
    const parts = path.split("/");
    return !parts.some((_, at) => at > 0 && paths.has(parts.slice(0, at).join("/")));
  });
}
