import { create, type MessageInitShape } from "@bufbuild/protobuf";
import {
  OutputStream,
  type ProcessEvent_EndEventSchema,
  type ProcessEvent as ProcessEventMessage,
  ProcessEventSchema,
} from "../../gen/process/process_pb.js";
import type { ProcessEnd } from "../process/exit.ts";
import type { ProcessEvent } from "../process/fan-out.ts";
import type { OutputKind } from "../process/output.ts";

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
      return { case: "end", value: toEndEvent(event.end) };
    }
  }
}

/** How a process ended, on the wire. */
export function toEndEvent(end: ProcessEnd): MessageInitShape<typeof ProcessEvent_EndEventSchema> {
  const { exitCode, hasExited, status, error } = end;
  const value = { exitCode, exited: hasExited, status };
  return error === undefined ? value : { ...value, error };
}
