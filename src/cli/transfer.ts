import type { Copied, CopyOptions, CopyPlan } from "../client/index.ts";
import type { HostCall } from "./host-call.ts";
import { remark, remarkCut } from "./paint.ts";
import { Progress } from "./progress.ts";
import { shown } from "./shown.ts";

/** One copy, as a person is told of it. */
export interface Transfer {
  call: HostCall;
  /** What the progress bar calls it. */
  label: string;
  copy: (options: CopyOptions) => Promise<Copied>;
  onPlan?: (plan: CopyPlan) => void;
}

/** Copies. Resolves to whether all of it could be. */
export async function transfer(transfer: Transfer): Promise<boolean> {
  const skipped = await withBar(transfer);
  for (const reason of skipped) remark(`${shown(reason)}: left out`);
  return skipped.length === 0;
}

async function withBar({ call, label, copy, onPlan }: Transfer): Promise<string[]> {
  using progress = new Progress(label, call.has("quiet"));
  const { skipped } = await copy({
    byChecksum: call.has("checksum"),
    onInterrupted: remarkCut,
    onProgress: (done, total) => progress.to(done, total),
    onPlan: (plan) => {
      onPlan?.(plan);
      for (const { path } of plan.ignored) remark(`${shown(path)}: no file, directory or link`);
    },
  });
  return skipped;
}
