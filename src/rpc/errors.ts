import { Code, ConnectError, type Interceptor } from "@connectrpc/connect";
import { OffsetDetailSchema } from "../../gen/process/process_pb.js";
import { AgentError, type AgentErrorCode, OffsetError } from "../errors.ts";
import type { Logger } from "../log.ts";

type OutgoingDetail = NonNullable<ConstructorParameters<typeof ConnectError>[3]>[number];

/** One table between the two vocabularies: what can go wrong in the guest, and on the wire. */
const CODES: Record<AgentErrorCode, Code> = {
  invalid: Code.InvalidArgument,
  "not-found": Code.NotFound,
  exists: Code.AlreadyExists,
  "wrong-state": Code.FailedPrecondition,
  unauthenticated: Code.Unauthenticated,
  denied: Code.PermissionDenied,
  exhausted: Code.ResourceExhausted,
  "out-of-range": Code.OutOfRange,
  aborted: Code.Aborted,
  "data-loss": Code.DataLoss,
  deadline: Code.DeadlineExceeded,
  unimplemented: Code.Unimplemented,
  unavailable: Code.Unavailable,
  unknown: Code.Unknown,
  internal: Code.Internal,
};

/** What reading from or writing to a peer that has gone fails with. */
const PEER_GONE: readonly unknown[] = ["ERR_STREAM_PREMATURE_CLOSE", "ECONNRESET", "EPIPE"];

/**
 * What the caller is told of a failure: foreseen ones as they are, the end of the call itself as
 * `canceled`, anything else as `internal error` and no more.
 */
export function toConnectError(reason: unknown): ConnectError {
  if (reason instanceof ConnectError) return reason;
  if (reason instanceof AgentError) {
    const details = detailsOf(reason);
    return new ConnectError(reason.message, CODES[reason.code], undefined, details, reason);
  }
  if (reason instanceof Error && isEndOfCall(reason)) {
    return new ConnectError("the call was canceled", Code.Canceled, undefined, undefined, reason);
  }
  return new ConnectError("internal error", Code.Internal, undefined, undefined, reason);
}

function detailsOf(reason: AgentError): OutgoingDetail[] | undefined {
  if (!(reason instanceof OffsetError)) return undefined;
  return [{ desc: OffsetDetailSchema, value: { expectedOffset: BigInt(reason.expected) } }];
}

function isEndOfCall(reason: Error & { code?: unknown }): boolean {
  return reason.name === "AbortError" || PEER_GONE.includes(reason.code);
}

/** Maps what services throw, in answers and in the middle of streams, and logs bugs once. */
export function errorInterceptor(log: Logger): Interceptor {
  const map = (reason: unknown): ConnectError => {
    const error = toConnectError(reason);
    if (error.rawMessage === "internal error") log.error({ err: reason }, "a call failed by a bug");
    return error;
  };
  return (next) => async (request) => {
    try {
      const response = await next(request);
      if (!response.stream) return response;
      return { ...response, message: mapStream(response.message, map) };
    } catch (reason) {
      throw map(reason);
    }
  };
}

async function* mapStream<T>(
  messages: AsyncIterable<T>,
  map: (reason: unknown) => ConnectError,
): AsyncIterable<T> {
  try {
    yield* messages;
  } catch (reason) {
    throw map(reason);
  }
}
