import { create, type MessageInitShape } from "@bufbuild/protobuf";
import { type Duration, DurationSchema, timestampFromMs } from "@bufbuild/protobuf/wkt";
import type { ServiceImpl } from "@connectrpc/connect";
import {
  type ConnectionSchema,
  NoticedBy,
  type PrepareResponseSchema,
  type RestoreResponseSchema,
  type Snapshot,
  State,
  type StatusResponseSchema,
} from "../../gen/snapshot/snapshot_pb.js";
import { AgentError } from "../errors.ts";
import type { SnapshotLifecycle } from "../snapshot/lifecycle.ts";
import type { ConnectionStatus } from "../snapshot/participants.ts";
import type { PrepareReport } from "../snapshot/quiesce.ts";
import type {
  NoticedBy as NoticedByName,
  RestoreReport,
  SnapshotState,
  SnapshotStatus,
} from "../snapshot/status.ts";

const ENTROPY_BYTES = 4_096;
const NS_PER_S = 1_000_000_000n;

/** Speaks snapshot.Snapshot; decides nothing. */
export function snapshotService(snapshots: SnapshotLifecycle): ServiceImpl<typeof Snapshot> {
  return {
    async prepare({ timeout }) {
      const settleMs = timeout === undefined ? undefined : Number(toNs(timeout) / 1_000_000n);
      if (settleMs !== undefined && settleMs < 0) {
        throw new AgentError("invalid", `timeout: ${settleMs} ms is less than nothing`);
      }
      return toPrepareResponse(await snapshots.prepare(settleMs));
    },
    async restore({ timestamp, entropy, aborted }) {
      if (entropy.length > ENTROPY_BYTES) {
        const limit = `at most ${ENTROPY_BYTES} are taken`;
        throw new AgentError("invalid", `entropy: ${entropy.length} bytes were given, ${limit}`);
      }
      const hostNs = timestamp === undefined ? undefined : toNs(timestamp);
      const report = await snapshots.restore({ isAborted: aborted, hostNs, entropy });
      const { entropyAccepted } = report;
      const answer = toRestoreResponse(report);
      return entropyAccepted === undefined ? answer : { ...answer, entropyAccepted };
    },
    status: () => toStatusResponse(snapshots.status()),
    async *watch(_request, { signal }) {
      for await (const status of snapshots.watch(signal)) {
        yield { status: toStatusResponse(status) };
      }
    },
  };
}

const STATES: Record<SnapshotState, State> = {
  running: State.RUNNING,
  preparing: State.PREPARING,
  prepared: State.PREPARED,
  restoring: State.RESTORING,
};

const CAUSES: Record<NoticedByName, NoticedBy> = {
  call: NoticedBy.CALL,
  init: NoticedBy.INIT,
  health: NoticedBy.HEALTH,
  connection: NoticedBy.CONNECTION,
  generation: NoticedBy.GENERATION,
  clock: NoticedBy.CLOCK,
  timeout: NoticedBy.TIMEOUT,
};

function toPrepareResponse(report: PrepareReport): MessageInitShape<typeof PrepareResponseSchema> {
  const { blockers, elapsedMs, closedHttp1, closedH2, openStreams, uploads } = report;
  return {
    quiescent: blockers.length === 0,
    blockers,
    closedHttp1,
    closedH2,
    openStreams,
    uploads,
    processes: report.processes,
    sockets: report.sockets,
    elapsed: fromMs(elapsedMs),
  };
}

function toRestoreResponse(report: RestoreReport): MessageInitShape<typeof RestoreResponseSchema> {
  const { zombiesDestroyed, connectionsKept, clockMovedNs, generation, noticedBy } = report;
  return {
    zombiesDestroyed,
    connectionsKept,
    generation: BigInt(generation),
    noticedBy: CAUSES[noticedBy],
    ...(clockMovedNs !== undefined && { clockMoved: fromNs(clockMovedNs) }),
  };
}

function toStatusResponse(status: SnapshotStatus): MessageInitShape<typeof StatusResponseSchema> {
  const { lastRestore, lastPrepare } = status;
  return {
    state: STATES[status.state],
    generation: BigInt(status.generation),
    generationId: status.generationId,
    generationFile: status.generationFile,
    epoch: BigInt(status.epoch),
    connections: status.connections.map(toConnection),
    awake: [...status.awake],
    time: timestampFromMs(Date.now()),
    ...(lastRestore !== undefined && { lastRestore: toRestoreResponse(lastRestore) }),
    ...(lastPrepare !== undefined && { lastPrepare: toPrepareResponse(lastPrepare) }),
  };
}

function toConnection(connection: ConnectionStatus): MessageInitShape<typeof ConnectionSchema> {
  return {
    id: BigInt(connection.id),
    protocol: connection.protocol,
    encrypted: connection.isEncrypted,
    remoteAddress: connection.remoteAddress,
    age: fromMs(connection.ageMs),
    epoch: BigInt(connection.epoch),
    openStreams: connection.openRequests,
    bytesRead: BigInt(connection.bytesRead),
    bytesWritten: BigInt(connection.bytesWritten),
    sinceProgress: fromMs(connection.sinceProgressMs),
    retiring: connection.isRetiring,
  };
}

function toNs({ seconds, nanos }: { seconds: bigint; nanos: number }): bigint {
  return seconds * NS_PER_S + BigInt(nanos);
}

function fromMs(ms: number): Duration {
  return fromNs(BigInt(Math.max(0, Math.round(ms * 1e6))));
}

function fromNs(ns: bigint): Duration {
  return create(DurationSchema, { seconds: ns / NS_PER_S, nanos: Number(ns % NS_PER_S) });
}
