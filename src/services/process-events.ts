import { create, type MessageInitShape } from "@bufbuild/protobuf";
import { type Duration, DurationSchema } from "@bufbuild/protobuf/wkt";
import {
  type OutputOffsets,
  OutputOffsetsSchema,
  OutputStream,
  type ProcessEvent_EndEvent,
  ProcessEvent_EndEventSchema,
  ProcessEvent_HolderSchema,
  type ProcessEvent_ResourceUsage,
  ProcessEvent_ResourceUsageSchema,
  type ProcessEvent as ProcessEventMessage,
  ProcessEventSchema,
} from "../../gen/process/process_pb.js";
import type { EndFacts, ProcessEnd } from "../process/exit.ts";
import type { Offsets } from "../process/offsets.ts";
import type { OutputKind } from "../process/output.ts";
import type { ResourceUsage } from "../process/resource-usage.ts";
import type { ProcessEvent } from "../process/viewer.ts";

/** What a domain event is on the wire. */
export function toProcessEvent(event: ProcessEvent): ProcessEventMessage {
  return create(ProcessEventSchema, { event: toEventCase(event) });
}

/** What keeps a quiet stream alive. */
export function keepaliveEvent(): ProcessEventMessage {
  return create(ProcessEventSchema, { event: { case: "keepalive", value: {} } });
}

const STREAMS: Record<OutputKind, OutputStream> = {
  stdout: OutputStream.STDOUT,
  stderr: OutputStream.STDERR,
  pty: OutputStream.PTY,
};

type EventCase = NonNullable<MessageInitShape<typeof ProcessEventSchema>["event"]>;

function toEventCase(event: ProcessEvent): EventCase {
  switch (event.kind) {
    case "start":
      if (event.viewerId === undefined) return { case: "start", value: { pid: event.pid } };
      return { case: "start", value: { pid: event.pid, viewerId: BigInt(event.viewerId) } };
    case "output": {
      const { kind, bytes, offset } = event.output;
      const output = { case: kind, value: bytes };
      if (offset === undefined) return { case: "data", value: { output } };
      return { case: "data", value: { output, offset: BigInt(offset) } };
    }
    case "gap": {
      const { from, to } = event;
      const offsets = { fromOffset: BigInt(from), toOffset: BigInt(to) };
      return { case: "gap", value: { stream: STREAMS[event.output], ...offsets } };
    }
    case "end": {
      return { case: "end", value: toEndEvent(event.end, event.facts) };
    }
  }
}

/** How a process ended, on the wire. */
export function toEndEvent(end: ProcessEnd, facts?: EndFacts): ProcessEvent_EndEvent {
  const { exitCode, hasExited, status, error, signal, hasCore } = end;
  const event = create(ProcessEvent_EndEventSchema, { exitCode, exited: hasExited, status });
  if (error !== undefined) event.error = error;
  if (facts === undefined) return event;
  if (signal !== undefined) event.signal = signal;
  if (facts.oomKills !== undefined) event.oomKills = BigInt(facts.oomKills);
  event.coreDumped = hasCore;
  event.timedOut = facts.isTimedOut;
  event.killedByAgent = facts.isKilledByAgent;
  event.usage = toResourceUsage(facts.usage);
  event.written = toOutputOffsets(facts.written);
  event.inputBytes = BigInt(facts.inputBytes);
  event.holders = facts.holders.map((holder) => create(ProcessEvent_HolderSchema, holder));
  return event;
}

/** A place in every output, on the wire. */
export function toOutputOffsets({ stdout, stderr, pty }: Offsets): OutputOffsets {
  const offsets = { stdout: BigInt(stdout), stderr: BigInt(stderr), pty: BigInt(pty) };
  return create(OutputOffsetsSchema, offsets);
}

function toResourceUsage(usage: ResourceUsage): ProcessEvent_ResourceUsage {
  return create(ProcessEvent_ResourceUsageSchema, {
    userTime: toDuration(usage.userUs),
    systemTime: toDuration(usage.systemUs),
    maxResidentBytes: BigInt(usage.maxResidentBytes),
    majorFaults: BigInt(usage.majorFaults),
    voluntarySwitches: BigInt(usage.voluntarySwitches),
    involuntarySwitches: BigInt(usage.involuntarySwitches),
  });
}

function toDuration(us: number): Duration {
  const seconds = Math.floor(us / 1_000_000);
  const nanos = (us - seconds * 1_000_000) * 1_000;
  return create(DurationSchema, { seconds: BigInt(seconds), nanos });
}
