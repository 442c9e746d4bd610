import * as fc from "fast-check";
import { describe, expect, test } from "vitest";
import { contentRange, parseRanges } from "../../../src/http/ranges.ts";

describe("of a file of 10 bytes", () => {
  test.for([
    ["bytes=0-0", [[0, 1]]],
    ["bytes=2-", [[2, 10]]],
    ["bytes=2-4", [[2, 5]]],
    ["bytes=2-99", [[2, 10]]],
    ["bytes=-3", [[7, 10]]],
    ["bytes=-99", [[0, 10]]],
    ["Bytes=9-9", [[9, 10]]],
    [
      "bytes= 1 - 2 , 4-5",
      [
        [1, 3],
        [4, 6],
      ],
    ],
    [
      "bytes=8-,0-1",
      [
        [8, 10],
        [0, 2],
      ],
    ],
    ["bytes=1-1,,50-60", [[1, 2]]],
    ["bytes=0-99999999999999999999999", [[0, 10]]],
  ] as const)("%s is %j", ([header, expected]) => {
    expect(parseRanges(header, 10)).toEqual({
      kind: "parts",
      ranges: expected.map(([start, end]) => ({ start, end })),
    });
  });

  test.for([
    [undefined, "whole"],
    ["", "whole"],
    ["bytes=", "whole"],
    ["bytes=,", "whole"],
    ["lines=1-2", "whole"],
    ["bytes=0-9,0-0", "whole"],
    ["bytes=10-", "unsatisfiable"],
    ["bytes=10-20,-0", "unsatisfiable"],
    ["bytes=-0", "unsatisfiable"],
    ["bytes=99999999999999999999999-", "unsatisfiable"],
    ["bytes=-", "invalid"],
    ["bytes=4-2", "invalid"],
    ["bytes=a-b", "invalid"],
    ["bytes=0-1,x", "invalid"],
    ["bytes=--1", "invalid"],
    ["bytes=1", "invalid"],
    ["bytes=+1-2", "invalid"],
    ["bytes=0x1-2", "invalid"],
  ] as const)("%s is %s", ([header, kind]) => {
    expect(parseRanges(header, 10)).toEqual({ kind });
  });
});

test.for(["bytes=0-", "bytes=-5", "bytes=3-4", "bytes=-0"])(
  "%s of an empty file is all of it",
  (header) => {
    expect(parseRanges(header, 0)).toEqual({ kind: "whole" });
  },
);

test("an answered range counts its last byte", () => {
  expect(contentRange({ start: 2, end: 5 }, 10)).toBe("bytes 2-4/10");
});

const bound = fc.option(fc.nat(30), { nil: undefined });
const spec = fc.tuple(bound, bound).filter(([from, to]) => from !== undefined || to !== undefined);

/** The positions that one range asks for, found by asking every byte. */
function asked(from: number | undefined, to: number | undefined, size: number): number[] {
  const all = Array.from({ length: size }, (_, index) => index);
  if (from === undefined) return all.filter((index) => index >= size - (to ?? 0));
  return all.filter((index) => index >= from && index <= (to ?? size));
}

test("every range is exactly the bytes that are asked for", () => {
  fc.assert(
    fc.property(
      fc.array(spec, { minLength: 1, maxLength: 4 }),
      fc.integer({ min: 1, max: 25 }),
      (specs, size) => {
        const header = `bytes=${specs.map(([from, to]) => `${from ?? ""}-${to ?? ""}`).join(", ")}`;
        const wanted = specs
          .map(([from, to]) => asked(from, to, size))
          .filter((one) => one.length > 0);

        const choice = parseRanges(header, size);

        if (specs.some(([from, to]) => from !== undefined && to !== undefined && to < from)) {
          expect(choice.kind).toBe("invalid");
        } else if (wanted.length === 0) {
          expect(choice.kind).toBe("unsatisfiable");
        } else if (wanted.flat().length > size) {
          expect(choice.kind).toBe("whole");
        } else {
          const ranges = choice.kind === "parts" ? choice.ranges : [];
          expect(ranges.map(({ start, end }) => asked(start, end - 1, size))).toEqual(wanted);
        }
      },
    ),
    { numRuns: 500 },
  );
});

test("any text is read without failing, and never beyond the file", () => {
  fc.assert(
    fc.property(fc.string(), fc.nat(100), (text, size) => {
      const choice = parseRanges(`bytes=${text}`, size);

      for (const { start, end } of choice.kind === "parts" ? choice.ranges : []) {
        expect(start).toBeGreaterThanOrEqual(0);
        expect(end).toBeGreaterThan(start);
        expect(end).toBeLessThanOrEqual(size);
      }
    }),
  );
});
