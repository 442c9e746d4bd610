import { Code, ConnectError } from "@connectrpc/connect";

/** What can be wrong with a call to a guest; `kind` is for programs, the message for people. */
export type GuestErrorKind =
  | "not-found"
  | "already-exists"
  | "invalid"
  | "unauthenticated"
  | "permission-denied"
  | "exhausted"
  | "wrong-state"
  | "unsupported"
  | "timeout"
  | "canceled"
  | "unreachable"
  | "failed";

/** A call to a guest that did not do what it was to do. */
export class GuestError extends Error {
  readonly kind: GuestErrorKind;

  constructor(kind: GuestErrorKind, message: string, options?: ErrorOptions) {
    super(message, options);
    this.name = "GuestError";
    this.kind = kind;
  }

  /** Whether the guest did not get to say anything: the same call may succeed later. */
  get isRetryable(): boolean {
    return this.kind === "unreachable" || this.kind === "timeout";
  }
}

/** A process's stream was cut before its end was told. The process may well live on. */
export class Interrupted extends GuestError {
  /** The process: connect to it again to go on. */
  readonly pid: number;

  constructor(pid: number, options?: ErrorOptions) {
    super("unreachable", `the stream of process ${pid} was cut before it ended`, options);
    this.name = "Interrupted";
    this.pid = pid;
  }
}

const KINDS: Partial<Record<Code, GuestErrorKind>> = {
  [Code.NotFound]: "not-found",
  [Code.AlreadyExists]: "already-exists",
  [Code.InvalidArgument]: "invalid",
  [Code.OutOfRange]: "invalid",
  [Code.Unauthenticated]: "unauthenticated",
  [Code.PermissionDenied]: "permission-denied",
  [Code.ResourceExhausted]: "exhausted",
  [Code.FailedPrecondition]: "wrong-state",
  [Code.Unimplemented]: "unsupported",
  [Code.DeadlineExceeded]: "timeout",
  [Code.Canceled]: "canceled",
  [Code.Aborted]: "unreachable",
  [Code.Unavailable]: "unreachable",
};

/** What Node calls it when a session ends as a request enters it; Connect calls that internal. */
const ENDED_SESSION = new Set(["ERR_HTTP2_INVALID_SESSION", "ERR_HTTP2_GOAWAY_SESSION"]);

/** Whether a call failed with its connection. A guest never says this by itself of a unary call. */
export function isLostConnection(reason: unknown): boolean {
  const { code, cause } = ConnectError.from(reason);
  if (code === Code.Unavailable || code === Code.Aborted || code === Code.Canceled) return true;
  return cause instanceof Error && "code" in cause && ENDED_SESSION.has(String(cause.code));
}

/** Whatever a call failed with, as a `GuestError`. */
export function toGuestError(reason: unknown): GuestError {
  if (reason instanceof GuestError) return reason;
  const error = ConnectError.from(reason);
  const unnamed = isLostConnection(reason) ? "unreachable" : "failed";
  return new GuestError(KINDS[error.code] ?? unnamed, error.rawMessage, { cause: reason });
}

/** Runs `call` and gives what it fails with as a `GuestError`. */
export async function asGuestError<T>(call: () => Promise<T>): Promise<T> {
  try {
    return await call();
  } catch (reason) {
    throw toGuestError(reason);
  }
}
