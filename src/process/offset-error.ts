import { AgentError } from "../errors.ts";

/** An offset that names bytes which are not there, with the one that would do. */
export class OffsetError extends AgentError {
  /** The offset that comes next. */
  readonly expected: number;

  constructor(message: string, expected: number) {
    super("out-of-range", message);
    this.expected = expected;
  }
}
