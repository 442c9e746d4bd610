import type { ConnectionStatus, Sign } from "./participants.ts";
import type { PrepareReport } from "./quiesce.ts";

/**
 * Where in a snapshot's life the guest is.
 *
 * - `running`    everything is served.
 * - `preparing`  Prepare is under way.
 * - `prepared`   Prepare has answered: the machine may be frozen at any moment.
 * - `restoring`  what is left of the life before is being looked at.
 */
export type SnapshotState = "running" | "preparing" | "prepared" | "restoring";

/** What made the agent look for a restore; `timeout` is nothing else in time. */
export type NoticedBy = "call" | "init" | "health" | "connection" | Sign | "timeout";

/** How a restore went. */
export interface RestoreReport {
  zombiesDestroyed: number;
  connectionsKept: number;
  /** How far the clock was moved, in nanoseconds; `undefined` when it was not. */
  clockMovedNs: bigint | undefined;
  generation: number;
  noticedBy: NoticedBy;
}

/** What the host says with a restore. */
export interface RestoreOptions {
  /** The pause did not come about. */
  isAborted: boolean;
  /** The host's time, in ns since 1970. */
  hostNs?: bigint | undefined;
  /** Random bytes of the host, at most 4,096. Empty or absent: none. */
  entropy?: Uint8Array | undefined;
}

/** Everything that can be asked about the lifecycle. */
export interface SnapshotStatus {
  state: SnapshotState;
  generation: number;
  generationId: string;
  generationFile: string;
  epoch: number;
  connections: readonly ConnectionStatus[];
  awake: readonly string[];
  lastRestore: RestoreReport | undefined;
  lastPrepare: PrepareReport | undefined;
}
