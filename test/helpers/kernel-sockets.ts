import { execFileSync } from "node:child_process";
import type { PrepareResponse } from "../../gen/snapshot/snapshot_pb.js";

/** How many sockets are in each TCP state. */
export type SocketCounts = Record<string, number>;

/**
 * What `ss` shows of the agent's own sockets on `port`, listeners left out, and left out as well
 * the one whose peer is `exceptPeer`.
 */
export function socketsOn(port: number, exceptPeer?: number): SocketCounts {
  const table = execFileSync("ss", ["-Htan", `sport = :${port}`], { encoding: "utf8" });
  const counts: SocketCounts = {};
  for (const row of table.split("\n")) {
    const [state = "", , , , peer = ""] = row.split(/\s+/);
    if (state === "" || state === "LISTEN" || peer.endsWith(`:${exceptPeer}`)) continue;
    counts[state] = (counts[state] ?? 0) + 1;
  }
  return counts;
}

/** What a report of Prepare says of the same. */
export function socketsIn(report: PrepareResponse | undefined): SocketCounts {
  return Object.fromEntries((report?.sockets ?? []).map(({ state, count }) => [state, count]));
}
