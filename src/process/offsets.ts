import type { OutputKind } from "./output.ts";

/** Every output there can be. */
export const OUTPUT_KINDS = ["stdout", "stderr", "pty"] as const satisfies OutputKind[];

/** A place in each output of a process, in bytes since its start. */
export type Offsets = Record<OutputKind, number>;

/** The beginning of every output. */
export function noOffsets(): Offsets {
  return { stdout: 0, stderr: 0, pty: 0 };
}
