import { AgentError, type AgentErrorCode } from "../errors.ts";
import { HttpError } from "./endpoint.ts";

/** The status of each foreseen failure on the paths that carry files. */
const STATUS: Readonly<Record<AgentErrorCode, number>> = {
  invalid: 400,
  unauthenticated: 401,
  denied: 403,
  "not-found": 404,
  exists: 409,
  "wrong-state": 500,
  exhausted: 507,
  "out-of-range": 416,
  aborted: 409,
  "data-loss": 500,
  deadline: 504,
  unimplemented: 501,
  unavailable: 503,
  unknown: 500,
  internal: 500,
};

/** What `cause` is answered with; `undefined` for a bug. */
export function toHttpError(cause: unknown): HttpError | undefined {
  if (cause instanceof HttpError) return cause;
  return cause instanceof AgentError ? new HttpError(STATUS[cause.code], cause.message) : undefined;
}
