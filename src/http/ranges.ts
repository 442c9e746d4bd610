/** Some bytes of a file: from `start` up to, and without, `end`. */
export interface ByteRange {
  start: number;
  end: number;
}

/**
 * What a `Range` header asks of a file.
 *
 * - `whole`          everything: no header, a unit we do not know, or more than the file in sum.
 * - `parts`          these, in the order asked for; never empty.
 * - `unsatisfiable`  nothing that the file has.
 * - `invalid`        no range at all.
 */
export type RangeChoice =
  | { kind: "whole" }
  | { kind: "parts"; ranges: [ByteRange, ...ByteRange[]] }
  | { kind: "unsatisfiable" }
  | { kind: "invalid" };

/** Reads a `Range` header for a file of `size` bytes. An empty file is always served whole. */
export function parseRanges(header: string | undefined, size: number): RangeChoice {
  const [, list] = /^bytes=(.*)$/i.exec(header ?? "") ?? [];
  if (list === undefined) return { kind: "whole" };
  const specs = list
    .split(",")
    .map((spec) => spec.trim())
    .filter((spec) => spec !== "");
  const parsed = specs.map((spec) => parseSpec(spec, size));
  if (parsed.includes("invalid")) return { kind: "invalid" };
  if (specs.length === 0 || size === 0) return { kind: "whole" };
  const ranges = parsed.filter((range) => typeof range === "object");
  const [first, ...others] = ranges;
  if (first === undefined) return { kind: "unsatisfiable" };
  // Overlapping ranges would let one small request ask for many times the file.
  const sum = ranges.reduce((bytes, { start, end }) => bytes + end - start, 0);
  return sum > size ? { kind: "whole" } : { kind: "parts", ranges: [first, ...others] };
}

/** The `Content-Range` of one range. */
export function contentRange({ start, end }: ByteRange, size: number): string {
  return `bytes ${start}-${end - 1}/${size}`;
}

function parseSpec(spec: string, size: number): ByteRange | "outside" | "invalid" {
  const [, from, to] = /^(\d*)[ \t]*-[ \t]*(\d*)$/.exec(spec) ?? [];
  if (from === undefined || to === undefined || from + to === "") return "invalid";
  if (from === "") {
    const start = Math.max(0, size - Number(to));
    return start < size ? { start, end: size } : "outside";
  }
  const start = Number(from);
  if (to !== "" && BigInt(to) < BigInt(from)) return "invalid";
  if (start >= size) return "outside";
  return { start, end: to === "" ? size : Math.min(size, Number(to) + 1) };
}
