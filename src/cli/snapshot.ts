import { toJson } from "@bufbuild/protobuf";
import type { Duration } from "@bufbuild/protobuf/wkt";
import {
  type Connection,
  NoticedBy,
  type PrepareResponse,
  PrepareResponseSchema,
  type RestoreResponse,
  RestoreResponseSchema,
  State,
  type StatusResponse,
  StatusResponseSchema,
} from "../../gen/snapshot/snapshot_pb.js";
import { bytesText, durationText } from "./amounts.ts";
import type { HostCall } from "./host-call.ts";
import type { HostCommand } from "./host-command.ts";
import { jsonText } from "./json-text.ts";
import { shown } from "./shown.ts";
import { table } from "./table.ts";

const JSON_FLAG = { flags: "--json", help: "for programs" };

/** Brings the guest to rest. */
export const SNAPSHOT_PREPARE: HostCommand = {
  name: "snapshot prepare",
  operands: "[TARGET]",
  summary: "bring the guest to rest: its machine is about to be frozen",
  flags: [JSON_FLAG],
  notes: "Exits with 1 when something is left that a snapshot would cut.",
  run: prepare,
};

/** Says that the guest was restored. */
export const SNAPSHOT_RESTORE: HostCommand = {
  name: "snapshot restore",
  operands: "[TARGET]",
  summary: "say that the machine was restored; gives it time and random bytes",
  flags: [{ flags: "--aborted", help: "the pause did not come about" }, JSON_FLAG],
  run: restore,
};

/** Shows where in a snapshot's life the guest is. */
export const SNAPSHOT_STATUS: HostCommand = {
  name: "snapshot status",
  operands: "[TARGET]",
  summary: "show its connections, what is awake, and which life this is",
  flags: [JSON_FLAG],
  run: status,
};

async function prepare(call: HostCall): Promise<number> {
  const [{ guest }] = call.targetAnd(0, 0);
  const answer = await guest.snapshot.prepare();
  if (answer === undefined) process.stdout.write("prepared; the agent cannot say what is left\n");
  else
    process.stdout.write(
      call.has("json") ? jsonText(toJson(PrepareResponseSchema, answer)) : prepareText(answer),
    );
  return answer?.quiescent === false ? 1 : 0;
}

async function restore(call: HostCall): Promise<number> {
  const [{ guest }] = call.targetAnd(0, 0);
  const answer = await guest.snapshot.restore({ aborted: call.has("aborted") });
  if (answer === undefined) process.stdout.write("told; the agent cannot say what it did\n");
  else
    process.stdout.write(
      call.has("json")
        ? jsonText(toJson(RestoreResponseSchema, answer))
        : `${restoreText(answer)}\n`,
    );
  return 0;
}

async function status(call: HostCall): Promise<number> {
  const [{ guest }] = call.targetAnd(0, 0);
  const answer = await guest.snapshot.status();
  process.stdout.write(
    call.has("json") ? jsonText(toJson(StatusResponseSchema, answer)) : statusText(answer),
  );
  return 0;
}

function prepareText(answer: PrepareResponse): string {
  const left = answer.blockers.map((blocker) => `  ${shown(blocker)}\n`).join("");
  const sockets = answer.sockets.map(({ state, count }) => `${count} ${state}`).join(", ");
  const closed = `closed ${answer.closedHttp1} HTTP/1 and ${answer.closedH2} HTTP/2 connections`;
  const verdict = answer.quiescent ? "at rest" : "NOT at rest, left are:";
  const took = durationText(millis(answer.elapsed));
  return `${verdict} (${took}; ${closed}; sockets: ${sockets || "none"})\n${left}`;
}

/** What a restore did, on one line. */
function restoreText(answer: RestoreResponse): string {
  const { clockMoved, zombiesDestroyed, connectionsKept, generation, noticedBy } = answer;
  const clock = clockMoved === undefined ? "stayed" : `moved by ${signedText(millis(clockMoved))}`;
  const by = NoticedBy[noticedBy]?.toLowerCase() ?? "unknown";
  return [
    `generation ${generation}, noticed by ${by}`,
    `${zombiesDestroyed} connections destroyed, ${connectionsKept} kept`,
    `the clock ${clock}`,
  ].join("; ");
}

/** The status for people: a few lines, and a table of the connections. */
export function statusText(answer: StatusResponse): string {
  const { generation, generationId, epoch, awake, lastRestore, connections } = answer;
  const lines = [
    `state       ${stateText(answer.state)}`,
    `generation  ${generation} (${generationId})`,
    `epoch       ${epoch}`,
    `awake       ${awake.length === 0 ? "nothing" : awake.map(shown).join("; ")}`,
    ...(lastRestore === undefined ? [] : [`restored    ${restoreText(lastRestore)}`]),
  ];
  return `${lines.join("\n")}\n\n${connectionTable(connections, epoch)}`;
}

/** The state in one word. */
export function stateText(state: State): string {
  return State[state]?.toLowerCase() ?? "unknown";
}

/** The connections, oldest first; those of an epoch before are `old`. */
function connectionTable(connections: readonly Connection[], epoch: bigint): string {
  const rows = connections.map((one) => [
    String(one.id),
    one.encrypted ? `${one.protocol}+tls` : one.protocol,
    one.remoteAddress,
    durationText(millis(one.age)),
    one.epoch < epoch ? `${one.epoch} old` : String(one.epoch),
    String(one.openStreams),
    bytesText(Number(one.bytesRead)),
    bytesText(Number(one.bytesWritten)),
    durationText(millis(one.sinceProgress)),
    one.retiring ? "closing" : "",
  ]);
  const titles = ["ID", "PROTOCOL", "PEER", "AGE", "EPOCH", "CALLS", "IN", "OUT", "QUIET", ""];
  return table(titles, rows, ["ID", "AGE", "EPOCH", "CALLS", "IN", "OUT", "QUIET"]);
}

function signedText(ms: number): string {
  return `${ms < 0 ? "-" : "+"}${durationText(Math.abs(ms))}`;
}

/** A duration of the wire in ms. */
function millis(duration: Duration | undefined): number {
  return duration === undefined ? 0 : Number(duration.seconds) * 1_000 + duration.nanos / 1e6;
}
