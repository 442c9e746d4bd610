/** What the host program is asked for. */
export type Wish =
  | { kind: "round"; path: string; prepares: boolean }
  | { kind: "thawed" }
  | { kind: "end" };

/** What the host program tells. */
export type Told =
  | { kind: "ready" }
  /** An upload is under way. */
  | { kind: "freeze" }
  | { kind: "went on"; interruptions: number; sha256: string; streamsMs: number }
  | {
      kind: "ended";
      exits: (number | undefined)[];
      gaps: number;
      writtenLines: number;
      isWrittenEqual: boolean;
      fedLines: number;
      isEchoEqual: boolean;
    };

/** So much that no emulated machine has taken it before it is frozen. */
export const UPLOAD_BYTES = 16 * 1024 * 1024;

const FILLED = "x".repeat(50);

/** A line that is like no other. */
export function lineOf(number: number): string {
  return `${number} ${FILLED}\n`;
}

/**
 * Writes such lines, ten at a time, until something is written to it. A bash whose time is over just
 * as the end of a line comes takes that and says nothing; what came before is in the variable.
 */
export const WRITER = `
i=0 typed=
until [[ -n $typed ]]; do
  read -r -t 0.02 part; typed+=$part
  for _ in 1 2 3 4 5 6 7 8 9 10; do i=$((i + 1)); echo "$i ${FILLED}"; done
done`;
