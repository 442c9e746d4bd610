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

/** A place in each of a process's outputs, in bytes since its start. */
export interface Offsets {
  stdout: number;
  stderr: number;
  pty: number;
}

/**
 * The end of a process was not told: its stream was cut and could not be gone on with. The process
 * may well live on. `kind` and `cause` say what kept the client from going on.
 */
export class Interrupted extends GuestError {
  /** The process: connect to it again to go on. */
  readonly pid: number;
  /** Where to go on. */
  readonly offsets: Offsets;

  constructor(pid: number, offsets: Offsets, cause: GuestError) {
    const why =
      cause.kind === "not-found" ? "the guest knows it no more" : `cut off: ${cause.message}`;
    super(cause.kind, `the end of process ${pid} was not told: ${why}`, { cause });
    this.name = "Interrupted";
    this.pid = pid;
    this.offsets = { ...offsets };
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

/** What Connect calls a connection that breaks, besides what a guest says by itself. */
const BROKEN = new Set([Code.Unavailable, Code.Canceled, Code.DeadlineExceeded]);

/**
 * Whether a call failed on its way, and not by what the guest answered: then it may be made again,
 * if it is one that may be made twice. An answer that was truncated counts, whatever a proxy has
 * made of it.
 */
export function isCut(reason: unknown): boolean {
  if (reason instanceof GuestError) return reason.isRetryable;
  // What a page's network failures are; anything else has failed on this side.
  if (!(reason instanceof ConnectError)) return reason instanceof TypeError;
  // What was answered carries the headers of the answer; what the client makes up carries none.
  return BROKEN.has(reason.code) || [...reason.metadata].length === 0;
}

/** What a call was cut by. */
export function toCut(reason: unknown): GuestError {
  const error = toGuestError(reason);
  if (error.isRetryable) return error;
  return new GuestError("unreachable", error.message, { cause: reason });
}

/** Whatever a call failed with, as a `GuestError`. */
export function toGuestError(reason: unknown): GuestError {
  if (reason instanceof GuestError) return reason;
  const error = ConnectError.from(reason);
  const unnamed = isLostConnection(reason) ? "unreachable" : "failed";
  // Said by a guest it means that something has changed meanwhile.
  const isRefusal = error.code === Code.Aborted && !isCut(reason);
  const kind = isRefusal ? "wrong-state" : (KINDS[error.code] ?? unnamed);
  return new GuestError(kind, error.rawMessage, { cause: reason });
}

/** What a call failed with: retryable when it was cut, and as it was told when it was refused. */
export function toFailure(reason: unknown): GuestError {
  return isCut(reason) ? toCut(reason) : toGuestError(reason);
}

/** Runs `call` and gives what it fails with as a `GuestError`; the reason of `signal` as it is. */
export async function asGuestError<T>(call: () => Promise<T>, signal?: AbortSignal): Promise<T> {
  try {
    return await call();
  } catch (reason) {
    signal?.throwIfAborted();
    throw toGuestError(reason);
  }
}
