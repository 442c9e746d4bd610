import { basename } from "node:path";
import { type Guest, GuestError, type TreePath } from "../../client/index.ts";
import { Failure } from "../host-command.ts";
import { remark } from "../paint.ts";
import { shown } from "../shown.ts";
import { fetchTree } from "./fetch-tree.ts";
import { listLocalTree } from "./local-tree.ts";
import { Persistence } from "./persistence.ts";
import { type Plan, planCopy } from "./plan.ts";
import { Progress } from "./progress.ts";
import { sendTree } from "./send-tree.ts";

/** Two directories, one of which is to become as the other is. */
export interface SyncTree {
  guest: Guest;
  local: string;
  /** Empty: the user's home. */
  remote: string;
  /** Which way: into the guest or out of it. */
  direction: "up" | "down";
  /** What is not in the source is removed. */
  deletes: boolean;
  byChecksum: boolean;
  isQuiet: boolean;
  /** Only tell. */
  isDry: boolean;
  /** Told of everything that is done, before it is. */
  onChange: (deed: "+" | "-", entry: TreePath) => void;
}

/** Makes one directory as another is. Resolves to whether all of it could be copied. */
export async function syncTree(syncing: SyncTree): Promise<boolean> {
  const { guest, local, direction, isDry, isQuiet, onChange } = syncing;
  const remote = syncing.remote || ".";
  const persistence = new Persistence();
  const { source, there, unseen } = await listBoth({ ...syncing, remote }, persistence);
  // What the guest could not look at is not gone.
  const deletes = syncing.deletes && unseen.length === 0;
  const plan = planCopy(source, there, { ...syncing, deletes });
  for (const reason of unseen) remark(`${shown(reason)}: left out, and nothing is removed`);
  for (const entry of plan.removals) onChange("-", entry);
  for (const entry of changed(plan)) onChange("+", entry);
  for (const { path } of plan.ignored) remark(`${shown(path)}: neither file, directory nor link`);
  if (isDry) return true;
  using progress = new Progress(basename(local), plan.bytes + plan.sameBytes, isQuiet);
  progress.skip(plan.sameBytes);
  const doing = { guest, local, remote, plan, progress, persistence };
  if (direction === "up") {
    await sendTree(doing);
    return true;
  }
  const skipped = await fetchTree(doing);
  for (const reason of skipped) remark(shown(reason));
  return skipped.length === 0 && unseen.length === 0;
}

async function listBoth(
  { guest, local, remote, direction, byChecksum }: SyncTree,
  { onInterrupted, onResumed }: Persistence,
) {
  const unseen: string[] = [];
  const onSkipped = (skipped: string[]) => unseen.push(...skipped);
  const isSource = direction === "down";
  const [here, away] = await Promise.all([
    listLocalTree(local, { withSha256: byChecksum }),
    listRemoteTree(guest, remote, {
      isSource,
      options: { withSha256: byChecksum, onSkipped, onInterrupted, onResumed },
    }),
  ]);
  return isSource
    ? { source: away, there: here, unseen }
    : { source: here, there: away, unseen: [] };
}

async function listRemoteTree(
  guest: Guest,
  path: string,
  how: { isSource: boolean; options: Parameters<Guest["files"]["listTree"]>[1] },
): Promise<TreePath[]> {
  try {
    return await guest.files.listTree(path, how.options);
  } catch (reason) {
    if (!(reason instanceof GuestError) || reason.kind !== "not-found") throw reason;
    if (how.isSource) throw new Failure(reason.message, { cause: reason });
    return [];
  }
}

function changed(plan: Plan): TreePath[] {
  return [...plan.directories, ...plan.files, ...plan.links].toSorted((one, other) =>
    one.path < other.path ? -1 : 1,
  );
}
