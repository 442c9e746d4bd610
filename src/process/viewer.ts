import { AgentError } from "../errors.ts";
import type { EndFacts, ProcessEnd } from "./exit.ts";
import type { LogCursor } from "./log-entry.ts";
import type { Output, OutputKind } from "./output.ts";

/** What a viewer is told about a process. */
export type ProcessEvent =
  | { kind: "start"; pid: number; viewerId?: number }
  | { kind: "output"; output: Output }
  | { kind: "gap"; output: OutputKind; from: number; to: number }
  | EndEvent;

/** That a process has ended. */
export interface EndEvent {
  kind: "end";
  end: ProcessEnd;
  /** Only for who wants them. */
  facts?: EndFacts;
  /** Where the output ends for a viewer that does not wait for others; absent: at its very end. */
  until?: LogCursor;
}

/** A viewer with this much waiting asks its process to wait, unless another viewer is faster. */
export const WAIT_ABOVE_BYTES = 256 * 1024;
/** Reading goes on once some viewer has less than this waiting. */
export const RESUME_BELOW_BYTES = 64 * 1024;
/**
 * A viewer that is this far behind a faster one is given up. It is more than the kernel's buffers
 * of one connection take (Linux: 4 MiB to send, 6 MiB to receive), so that a viewer that only
 * seems fast, because its buffers are still empty, does not push out one that reads. Viewers share
 * the chunks, so this is also about what a process's viewers hold together.
 */
export const GIVE_UP_ABOVE_BYTES = 16 * 1024 * 1024;

/** One who follows a process. `start` comes first, `end` or a failure last. */
export interface Viewer {
  /** Called when there may be something for `next()`. Set by whoever reads. */
  onReadable: () => void;
  /** Whether the process may ever wait for it: not when it may only watch, or is too far behind. */
  readonly isWaitedFor: boolean;
  /** Whether the process should wait, if it is up to this viewer. */
  readonly isFull: boolean;
  /** Whether a process that waits should go on. */
  readonly wantsMore: boolean;
  /** Whether it is told the end when the program has exited, whoever holds its outputs. */
  readonly endsAtExit: boolean;
  /** Whether it learns more of the end than envd's contract says. */
  readonly wantsFacts: boolean;
  /**
   * The next event, or `undefined` when there is none yet. Throws the `AgentError` this view ends
   * with once everything before it has been read.
   * Who gets output holds it, and may release it.
   */
  next(): ProcessEvent | undefined;
  /** The failure of a viewer that reads too slowly, with how far behind it is. */
  fallenBehind(): AgentError;
  /** Told what happens. */
  push(event: ProcessEvent): void;
  /** Ends this view with `error` after what waits already. */
  fail(error: AgentError): void;
  /** Leaves the process. */
  close(): void;
}

/** What a viewer ends with that read too slowly. */
export function fallenBehind(bytes: number): AgentError {
  return new AgentError(
    "exhausted",
    `this viewer is ${bytes} bytes behind the process and was cut off: read faster, or connect again for what comes next`,
  );
}
