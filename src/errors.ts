/**
 * What can go wrong in the guest, by name. `rpc/errors.ts` maps each to its code on the wire.
 *
 * - `invalid`          the caller asked for something that can never work.
 * - `not-found`        the thing named does not exist.
 * - `exists`           the thing to be made is already there.
 * - `wrong-state`      right request, wrong moment or wrong kind of thing.
 * - `unauthenticated`  no user, or one that does not exist.
 * - `denied`           the caller may not do this.
 * - `exhausted`        a bound was reached: memory, space, watches, a viewer's backlog.
 * - `out-of-range`     an offset names bytes that are not there.
 * - `aborted`          something changed meanwhile that had to stay as it was: begin again.
 * - `data-loss`        bytes are not what their checksum says.
 * - `deadline`         the caller's own deadline passed.
 * - `unimplemented`    the request names something that this agent does not do.
 * - `unavailable`      the agent is going away.
 * - `unknown`          a failure the contract classifies no further.
 * - `internal`         a foreseen failure of the machine underneath.
 */
export type AgentErrorCode =
  | "invalid"
  | "not-found"
  | "exists"
  | "wrong-state"
  | "unauthenticated"
  | "denied"
  | "exhausted"
  | "out-of-range"
  | "aborted"
  | "data-loss"
  | "deadline"
  | "unimplemented"
  | "unavailable"
  | "unknown"
  | "internal";

/** Over gRPC a message travels in a header, and one that is too long breaks the connection. */
const LONGEST_MESSAGE = 4_096;

/**
 * A foreseen failure. Its message is written for the caller: lower case, the offending value
 * named, and what to do where that is not obvious. What is longer than 4,096 characters is cut.
 * Anything else that is thrown is a bug.
 */
export class AgentError extends Error {
  readonly code: AgentErrorCode;

  constructor(code: AgentErrorCode, message: string, options?: ErrorOptions) {
    super(abbreviate(message), options);
    this.name = "AgentError";
    this.code = code;
  }
}

/** An offset that names bytes which are not there, with the one that would do. */
export class OffsetError extends AgentError {
  /** The offset that comes next. */
  readonly expected: number;

  constructor(message: string, expected: number) {
    super("out-of-range", message);
    this.expected = expected;
  }
}

function abbreviate(message: string): string {
  return message.length <= LONGEST_MESSAGE ? message : `${message.slice(0, LONGEST_MESSAGE)}…`;
}
