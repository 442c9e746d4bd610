import type { HandlerContext, ServiceImpl } from "@connectrpc/connect";
import {
  type AcknowledgeOutputRequest,
  type Process,
  type ProcessEvent as ProcessEventMessage,
  type ProcessInput,
  type StreamInputRequest,
} from "../../gen/process/process_pb.js";
import { AgentError } from "../errors.ts";
import type { GuestProcess } from "../process/guest-process.ts";
import type { Selector } from "../process/identity.ts";
import type { InputPlace } from "../process/input.ts";
import type { ViewGrant } from "../process/view-tokens.ts";
import type { Viewer } from "../process/viewer.ts";
import { callerKey } from "./caller-key.ts";
import { keepaliveIntervalMs } from "./keepalive.ts";
import { keepaliveEvent, toProcessEvent } from "./process-events.ts";
import {
  followConnect,
  followStart,
  type ProcessParts,
  toOffsets,
  toPtySize,
  toSelector,
} from "./process-follow.ts";
import { toEndedInfo, toProcessInfo } from "./process-info.ts";
import { toOrder } from "./process-signal.ts";
import { checkGrant, viewGrantKey } from "./view-grant.ts";

/** The longest name of a writer. */
const MOST_WRITER_CHARACTERS = 64;

/** Speaks process.Process; decides nothing. */
export function processService(parts: ProcessParts): ServiceImpl<typeof Process> {
  const { processes } = parts;
  return {
    list: ({ includeEnded }) => {
      const live = processes.list().map(toProcessInfo);
      if (!includeEnded) return { processes: live };
      return { processes: [...live, ...processes.ended().map(toEndedInfo)] };
    },
    async *start(request, context) {
      const caller = context.values.get(callerKey);
      const keepaliveMs = keepaliveIntervalMs(context.requestHeader);
      const viewer = await followStart(parts, request, caller, context.timeoutMs());
      for await (const event of follow(viewer, keepaliveMs, context)) yield { event };
    },
    async *connect(request, context) {
      const keepaliveMs = keepaliveIntervalMs(context.requestHeader);
      const viewer = followConnect(parts, request, context.values.get(viewGrantKey));
      for await (const event of follow(viewer, keepaliveMs, context)) yield { event };
    },
    update: ({ process, pty }) => {
      const target = processes.get(toSelector(process));
      if (pty !== undefined) target.input.resize(toPtySize(pty));
      return {};
    },
    async sendInput({ process, input, offset, writer }, { signal }) {
      const target = processes.get(toSelector(process));
      const next = await write(target, { input, offset, writer }, signal);
      return next === undefined ? {} : { nextOffset: BigInt(next) };
    },
    async streamInput(requests, { signal }) {
      await streamInput(parts, requests, signal);
      return {};
    },
    async sendSignal(request, { signal }) {
      const selector = toSelector(request.process);
      const order = toOrder(request);
      if (order.isScope || order.graceMs !== undefined) {
        return await processes.signalAll(selector, order, signal);
      }
      processes.get(selector).signal(order.signal);
      return {};
    },
    closeStdin: ({ process }) => {
      processes.get(toSelector(process)).input.closeStdin();
      return {};
    },
    acknowledgeOutput: (request, { values }) => {
      acknowledge(parts, request, values.get(viewGrantKey));
      return {};
    },
    createViewToken: ({ process }) => ({ token: createViewToken(parts, toSelector(process)) }),
  };
}

function acknowledge(
  { processes }: ProcessParts,
  { process, offsets, viewerId }: AcknowledgeOutputRequest,
  grant: ViewGrant | undefined,
): void {
  const selector = toSelector(process);
  checkGrant(grant, selector);
  // What is safe with the caller is for those to say who may do more than watch.
  const viewer = viewerId === 0n && grant === undefined ? undefined : Number(viewerId);
  processes.acknowledge(selector, toOffsets(offsets), viewer);
}

/** "" where every caller may watch. */
function createViewToken({ processes, settings }: ProcessParts, selector: Selector): string {
  const target = processes.get(selector);
  return settings.accessToken === undefined ? "" : processes.viewTokens.create(target);
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
  given: { input?: ProcessInput | undefined; offset?: bigint | undefined; writer: string },
  signal: AbortSignal,
): Promise<number | undefined> {
  const place = toInputPlace(given);
  const input = given.input?.input;
  switch (input?.case) {
    case "stdin":
      return await target.input.writeStdin(input.value, signal, place);
    case "pty":
      return await target.input.writePty(input.value, signal, place);
    default:
      throw new AgentError("unimplemented", "invalid input type <nil>: give stdin or pty");
  }
}

function toInputPlace(given: {
  offset?: bigint | undefined;
  writer: string;
}): InputPlace | undefined {
  const { offset, writer } = given;
  if (writer.length > MOST_WRITER_CHARACTERS) {
    const message = `writer: ${writer.length} characters are more than ${MOST_WRITER_CHARACTERS}`;
    throw new AgentError("invalid", message);
  }
  return offset === undefined ? undefined : { offset: Number(offset), writer };
}
