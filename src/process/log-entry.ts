import type { Offsets } from "./offsets.ts";
import type { OutputKind } from "./output.ts";

/** How far a viewer has read. */
export interface LogCursor {
  /** Among all the bytes of the log. */
  position: number;
  /** In each output; what lies before is not read. */
  offsets: Offsets;
}

/** What a log has for a viewer. `bytes` are valid until the next append. */
export type LogEntry =
  | { kind: "chunk"; output: OutputKind; offset: number; bytes: Uint8Array }
  | SpilledEntry
  | { kind: "gap"; output: OutputKind; from: number; to: number };

/** Bytes that have to be loaded from the file. The cursor stands before them. */
export interface SpilledEntry {
  kind: "spilled";
  output: OutputKind;
  offset: number;
  position: number;
  length: number;
}
