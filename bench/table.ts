import { median, pairedRatio } from "./statistics.ts";

/** One line of a table: what was measured, against what, and what is wanted. */
export interface Row {
  figure: string;
  unit: string;
  /** One value for each round. */
  values: readonly number[];
  /** What the same rounds gave for the baseline. */
  baseline?: { name: string; values: readonly number[] };
  /** What is wanted of the ratio to the baseline, or of the value itself. */
  target?: Target;
}

/** A bound on the ratio to the baseline (`of: "ratio"`) or on the median (`of: "value"`). */
export interface Target {
  of: "ratio" | "value";
  atMost?: number;
  atLeast?: number;
}

/** A question with the lines that answer it. */
export interface Answer {
  question: string;
  rows: Row[];
  /** What could not be measured, and why. */
  notes?: string[];
}

const HEADER = ["figure", "unit", "median", "min – max", "baseline", "ratio", "target", ""];

/** Prints `answer` and says how many targets were missed. */
export function printAnswer(answer: Answer): number {
  const lines = answer.rows.map(cellsOf);
  const widths = HEADER.map((title, column) =>
    Math.max(title.length, ...lines.map((cells) => (cells[column] as string).length)),
  );
  const print = (cells: string[]) => {
    const padded = cells.map((cell, column) => cell.padEnd(widths[column] as number));
    console.log(`| ${padded.join(" | ")} |`);
  };
  console.log(`\n### ${answer.question}\n`);
  if (lines.length > 0) {
    print(HEADER);
    print(widths.map((width) => "-".repeat(width)));
    for (const cells of lines) print(cells);
  }
  for (const note of answer.notes ?? []) console.log(`\n${note}`);
  return lines.filter((cells) => cells.at(-1) === "MISS").length;
}

function cellsOf(row: Row): string[] {
  const { figure, unit, values, baseline, target } = row;
  const ratio = baseline === undefined ? undefined : pairedRatio(values, baseline.values);
  return [
    figure,
    unit,
    round(median(values)),
    values.length < 2 ? "" : `${round(Math.min(...values))} – ${round(Math.max(...values))}`,
    baseline === undefined ? "" : `${round(median(baseline.values))} (${baseline.name})`,
    ratio === undefined ? "" : ratio.toFixed(2),
    target === undefined ? "" : wordsOf(target),
    target === undefined ? "" : verdict(target.of === "ratio" ? ratio : median(values), target),
  ];
}

function wordsOf({ of, atMost, atLeast }: Target): string {
  const bound = atMost === undefined ? `≥ ${atLeast}` : `≤ ${atMost}`;
  const both = atMost !== undefined && atLeast !== undefined ? `${atLeast} – ${atMost}` : bound;
  return of === "ratio" ? `${both} x` : both;
}

function verdict(value: number | undefined, { atMost, atLeast }: Target): string {
  if (value === undefined || Number.isNaN(value)) return "MISS";
  const isMet = value <= (atMost ?? Infinity) && value >= (atLeast ?? -Infinity);
  return isMet ? "ok" : "MISS";
}

function round(value: number): string {
  const size = Math.abs(value);
  if (size >= 100) return Math.round(value).toLocaleString("en-GB").replaceAll(",", " ");
  return value.toFixed(size >= 10 ? 1 : 2);
}
