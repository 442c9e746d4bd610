import { stat } from "node:fs/promises";
import { GuestError, toGuestError } from "../errors.ts";
import type { GuestFiles } from "../files.ts";
import type { TreePath } from "../trees.ts";
import { Copying, type CopyOptions } from "./copying.ts";
import { fetchFile, fetchTree } from "./fetch-tree.ts";
import { listLocalTree } from "./local-tree.ts";
import { type Plan, planCopy } from "./plan.ts";
import { sendFile } from "./send-file.ts";
import { sendTree } from "./send-tree.ts";

/** What is copied, and to where. */
export interface Copy {
  files: GuestFiles;
  local: string;
  /** Empty: the user's home. */
  remote: string;
  options: CopyOptions;
}

/** How a copy went. */
export interface Copied {
  /** What could not be read, with the reason, and was left out. */
  skipped: string[];
}

/** Copies a local file or directory into a guest. */
export function copyIn({ files, local, remote: path, options }: Copy): Promise<Copied> {
  const remote = path || ".";
  return settled(options, async () => {
    const copying = new Copying(files, options);
    const stats = await stat(local);
    if (stats.isDirectory()) return await copyTree({ copying, local, remote }, "in");
    if (!stats.isFile()) throw new GuestError("invalid", `${local}: neither file nor directory`);
    copying.begin(0, stats.size);
    if (options.isDry !== true) await sendFile(copying, local, remote);
    return { skipped: [] };
  });
}

/** Copies a file or directory of a guest to a local path. */
export function copyOut({ files, local, remote: path, options }: Copy): Promise<Copied> {
  const remote = path || ".";
  return settled(options, async () => {
    const copying = new Copying(files, options);
    const { kind, size } = await copying.remoteEnd(remote);
    if (kind === "directory") return await copyTree({ copying, local, remote }, "out");
    if (kind === "missing") throw new GuestError("not-found", `${remote}: no such file`);
    if (kind === "other") {
      throw new GuestError("invalid", `${remote}: neither file nor directory`);
    }
    copying.begin(0, size);
    if (options.isDry !== true) await fetchFile(copying, remote, local);
    return { skipped: [] };
  });
}

interface TreeCopy {
  copying: Copying;
  local: string;
  remote: string;
}

async function copyTree(copy: TreeCopy, direction: "in" | "out"): Promise<Copied> {
  const { options } = copy.copying;
  const plan = await planTree(copy, direction);
  options.onPlan?.(plan);
  if (options.isDry === true) return { skipped: plan.unseen };
  copy.copying.begin(plan.sameBytes, plan.bytes + plan.sameBytes);
  const act = direction === "in" ? sendTree : fetchTree;
  return { skipped: [...plan.unseen, ...(await act({ ...copy, plan }))] };
}

async function planTree(copy: TreeCopy, direction: "in" | "out"): Promise<Plan> {
  const { options } = copy.copying;
  const unseen = { here: [] as string[], away: [] as string[] };
  const [here, away] = await Promise.all([
    listLocalTree(copy.local, {
      withSha256: options.byChecksum === true,
      onSkipped: (reason) => unseen.here.push(reason),
      signal: options.signal,
    }),
    listRemoteTree(copy, { isSource: direction === "out", unseen: unseen.away }),
  ]);
  return direction === "in"
    ? planCopy({ source: here, there: away, unseen: unseen.here }, options)
    : planCopy({ source: away, there: here, unseen: unseen.away }, options);
}

async function listRemoteTree(
  { copying, remote }: TreeCopy,
  { isSource, unseen }: { isSource: boolean; unseen: string[] },
): Promise<TreePath[]> {
  try {
    return await copying.files.listTree(remote, {
      ...copying.patienceOptions,
      withSha256: copying.options.byChecksum === true,
      onSkipped: (skipped) => unseen.push(...skipped),
    });
  } catch (reason) {
    const isMissing = reason instanceof GuestError && reason.kind === "not-found";
    if (isMissing && !isSource) return [];
    throw reason;
  }
}

/** Whatever went wrong, on either side, as a `GuestError`; a signal's reason as it is. */
async function settled<T>({ signal }: CopyOptions, act: () => Promise<T>): Promise<T> {
  try {
    signal?.throwIfAborted();
    return await act();
  } catch (reason) {
    signal?.throwIfAborted();
    throw toGuestError(reason);
  }
}
