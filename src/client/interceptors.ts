import { Code, ConnectError, type Interceptor } from "@connectrpc/connect";
import { GuestError, isLostConnection } from "./errors.ts";

/** What can be asked twice with the effect of once. */
const IDEMPOTENT = new Set([
  "process.Process/List",
  "process.Process/Update",
  "process.Process/AcknowledgeOutput",
  "filesystem.Filesystem/Stat",
  "filesystem.Filesystem/ListDir",
  "filesystem.Filesystem/Remove",
  "filesystem.Filesystem/BeginUpload",
  "filesystem.Filesystem/WriteChunk",
  "filesystem.Filesystem/CommitUpload",
  "filesystem.Filesystem/CancelUpload",
  "ports.Ports/List",
  "snapshot.Snapshot/Prepare",
  "snapshot.Snapshot/Restore",
  "snapshot.Snapshot/Status",
]);

/** Names the life of a guest, in requests and answers. */
const GENERATION = "thaw-generation";

/** Asks with every call which life the guest is in, and hands the answer to `onGeneration`. */
export function askGeneration(onGeneration: (id: string) => void): Interceptor {
  return (next) => async (request) => {
    request.header.set(GENERATION, "?");
    const response = await next(request);
    const id = response.header.get(GENERATION);
    if (id !== null) onGeneration(id);
    return response;
  };
}

/** Says who calls: `X-Access-Token`, and the user as `Authorization`. */
export function identify(headers: Readonly<Record<string, string>>): Interceptor {
  return (next) => async (request) => {
    for (const [name, value] of Object.entries(headers)) request.header.set(name, value);
    return await next(request);
  };
}

/**
 * Fails a call whose answer has not begun after `ms`, as `deadline_exceeded`; but for one that sends a
 * stream and is answered at its end.
 */
export function limitHeaders(ms: number): Interceptor {
  return (next) => async (request) => {
    if (request.method.methodKind === "client_streaming") return await next(request);
    const limit = new AbortController();
    const message = `the guest did not begin to answer within ${ms} ms`;
    const reason = new ConnectError(message, Code.DeadlineExceeded);
    const timer = setTimeout(() => limit.abort(reason), ms);
    try {
      const signal = AbortSignal.any([request.signal, limit.signal]);
      return await next({ ...request, signal });
    } catch (error) {
      throw limit.signal.aborted ? reason : error;
    } finally {
      clearTimeout(timer);
    }
  };
}

/**
 * Tells `onDoubt` when a call is given up because nothing came in time: its connection may be one
 * to a machine that is gone, and then whatever else goes over it would wait as long.
 */
export function doubtWhenLate(onDoubt: () => void): Interceptor {
  return (next) => (request) => {
    const { signal } = request;
    const onAbort = () => {
      if (isLate(signal.reason)) onDoubt();
    };
    signal.addEventListener("abort", onAbort, { once: true });
    return next(request);
  };
}

function isLate(reason: unknown): boolean {
  if (reason instanceof GuestError) return reason.kind === "timeout";
  return reason instanceof ConnectError && reason.code === Code.DeadlineExceeded;
}

/** Asks once more, on a fresh connection, when that of an idempotent call was lost. */
export const retryOnce: Interceptor = (next) => async (request) => {
  const { service, method, stream } = request;
  if (stream || !IDEMPOTENT.has(`${service.typeName}/${method.name}`)) return await next(request);
  try {
    return await next(request);
  } catch (reason) {
    if (request.signal.aborted || !isLostConnection(reason)) throw reason;
    return await next(request);
  }
};
