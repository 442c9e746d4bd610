import type { Client } from "@connectrpc/connect";
import type { Process } from "../../gen/process/process_pb.js";
import { untilAnswered } from "../client/patience.ts";
import type { TabContent } from "./tab.ts";

const KEY = "thaw.tabs";
/** How long one question may take, in ms. It is asked until it is answered. */
const PATIENCE = { attemptMs: 5_000, giveUpAfterMs: Number.POSITIVE_INFINITY };

/** Keeps the tabs for a reload of this window. */
export function keepTabs(tabs: readonly TabContent[], current: number): void {
  const known = tabs.filter(({ pid }) => pid !== undefined);
  sessionStorage.setItem(KEY, JSON.stringify({ tabs: known, current }));
}

/** The tabs of before the reload whose programs still run, and which of them showed. */
export async function keptTabs(
  client: Client<typeof Process>,
): Promise<{ tabs: TabContent[]; current: number }> {
  const { tabs, current } = read();
  if (tabs.length === 0) return { tabs: [], current: 0 };
  const list = await untilAnswered((options) => client.list({}, options), PATIENCE);
  const found = tabs.flatMap((tab) => {
    const one = list.processes.find(
      ({ pid, tag }) => pid === tab.pid && (!tab.isOwn || tag === "web terminal"),
    );
    return one === undefined ? [] : [{ ...tab, written: Number(one.written?.pty ?? 0n) }];
  });
  return {
    tabs: found,
    current: Math.max(
      0,
      found.findIndex(({ pid }) => pid === tabs[current]?.pid),
    ),
  };
}

function read(): { tabs: TabContent[]; current: number } {
  try {
    const kept = JSON.parse(sessionStorage.getItem(KEY) ?? "") as unknown;
    if (typeof kept === "object" && kept !== null && "tabs" in kept && Array.isArray(kept.tabs)) {
      return kept as { tabs: TabContent[]; current: number };
    }
  } catch {
    // Nothing is kept, or nothing that can be read.
  }
  return { tabs: [], current: 0 };
}
