import { create, type MessageInitShape } from "@bufbuild/protobuf";
import type { HandlerContext, ServiceImpl } from "@connectrpc/connect";
import {
  OutputStream,
  type Process,
  type ProcessEvent as ProcessEventMessage,
  ProcessEventSchema,
  type ProcessInfoSchema,
  type ProcessInput,
  Signal,
  type StreamInputRequest,
} from "../../gen/process/process_pb.js";
import { AgentError } from "../errors.ts";
import type { ProcessEvent, Viewer } from "../process/fan-out.ts";
import type { GuestProcess } from "../process/guest-process.ts";
import type { OutputKind } from "../process/output.ts";
import { callerKey } from "./caller-key.ts";
import { keepaliveIntervalMs } from "./keepalive.ts";
import {
  followConnect,
  followStart,
  type ProcessParts,
  toOffsets,
  toPtySize,
  toSelector,
} from "./process-follow.ts";

/** Speaks process.Process; decides nothing. */
export function processService(parts: ProcessParts): ServiceImpl<typeof Process> {
  const { processes } = parts;
  return {
    list: () => ({ processes: processes.list().map(toProcessInfo) }),
    async *start(request, context) {
      const caller = context.values.get(callerKey);
      const keepaliveMs = keepaliveIntervalMs(context.requestHeader);
      const viewer = await followStart(parts, request, caller, context.timeoutMs());
      for await (const event of follow(viewer, keepaliveMs, context)) yield { event };
    },
    async *connect(request, context) {
      const keepaliveMs = keepaliveIntervalMs(context.requestHeader);
      const viewer = followConnect(parts, request);
      for await (const event of follow(viewer, keepaliveMs, context)) yield { event };
    },
    update: ({ process, pty }) => {
      const target = processes.get(toSelector(process));
      if (pty !== undefined) target.resize(toPtySize(pty));
      return {};
    },
    async sendInput({ process, input, offset }, { signal }) {
      const target = processes.get(toSelector(process));
      const next = await write(target, { input, offset }, signal);
      return next === undefined ? {} : { nextOffset: BigInt(next) };
    },
    async streamInput(requests, { signal }) {
      await streamInput(parts, requests, signal);
      return {};
    },
    sendSignal: ({ process, signal }) => {
      const target = processes.get(toSelector(process));
      target.signal(toSignalName(signal));
      return {};
    },
    closeStdin: ({ process }) => {
      processes.get(toSelector(process)).closeStdin();
      return {};
    },
    acknowledgeOutput: ({ process, offsets }) => {
      processes.get(toSelector(process)).acknowledge(toOffsets(offsets));
      return {};
    },
  } as Partial<ServiceImpl<typeof Process>> as ServiceImpl<typeof Process>;
}

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
      return { case: "start", value: { pid: event.pid } };
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
      const { exitCode, hasExited, status, error } = event.end;
      const value = { exitCode, exited: hasExited, status };
      return { case: "end", value: error === undefined ? value : { ...value, error } };
    }
  }
}

/** The events of `viewer` until the end, with keep-alives between. Leaving it leaves the process. */
async function* follow(
  viewer: Viewer,
  keepaliveMs: number,
  { signal }: HandlerContext,
): AsyncIterable<ProcessEventMessage> {
  const leave = () => viewer.close();
  signal.addEventListener("abort", leave);
  try {
    for (;;) {
      signal.throwIfAborted();
      const event = viewer.next();
      if (event !== undefined) yield toProcessEvent(event);
      else if (!(await somethingNew(viewer, keepaliveMs, signal))) yield keepaliveEvent();
      if (event?.kind === "end") return;
    }
  } finally {
    signal.removeEventListener("abort", leave);
    viewer.close();
  }
}

/** Waits until there is something to read: `true`; or for `ms`: `false`. Abort rejects. */
function somethingNew(viewer: Viewer, ms: number, signal: AbortSignal): Promise<boolean> {
  return new Promise((resolve, reject) => {
    const onAbort = () => settle(() => reject(signal.reason as Error));
    const timer = setTimeout(() => settle(() => resolve(false)), ms);
    const settle = (act: () => void) => {
      clearTimeout(timer);
      signal.removeEventListener("abort", onAbort);
      viewer.onReadable = () => {};
      act();
    };
    signal.addEventListener("abort", onAbort);
    viewer.onReadable = () => settle(() => resolve(true));
  });
}

async function streamInput(
  { processes }: ProcessParts,
  requests: AsyncIterable<StreamInputRequest>,
  signal: AbortSignal,
): Promise<void> {
  let target: GuestProcess | undefined;
  for await (const { event } of requests) {
    switch (event.case) {
      case "start":
        target = processes.get(toSelector(event.value.process));
        break;
      case "data":
        if (target === undefined) {
          throw new AgentError("wrong-state", "data before start: select a process first");
        }
        await write(target, event.value, signal);
        break;
      default:
        break;
    }
  }
}

/** Resolves with the offset that comes next when the bytes have one. */
async function write(
  target: GuestProcess,
  given: { input?: ProcessInput | undefined; offset?: bigint | undefined },
  signal: AbortSignal,
): Promise<number | undefined> {
  const offset = given.offset === undefined ? undefined : Number(given.offset);
  const input = given.input?.input;
  switch (input?.case) {
    case "stdin":
      return await target.writeStdin(input.value, signal, offset);
    case "pty":
      return await target.writePty(input.value, signal, offset);
    default:
      throw new AgentError("unimplemented", "invalid input type <nil>: give stdin or pty");
  }
}

function toSignalName(signal: Signal): "SIGTERM" | "SIGKILL" {
  if (signal === Signal.SIGTERM) return "SIGTERM";
  if (signal === Signal.SIGKILL) return "SIGKILL";
  throw new AgentError("unimplemented", `invalid signal: ${signal} (15 and 9 can be sent)`);
}

function toProcessInfo(process: GuestProcess): MessageInitShape<typeof ProcessInfoSchema> {
  const { cmd, args, envs, cwd } = process.config;
  const config = { cmd, args: [...args], envs: { ...envs } };
  const info = { pid: process.pid, config: cwd === undefined ? config : { ...config, cwd } };
  return process.tag === undefined ? info : { ...info, tag: process.tag };
}
