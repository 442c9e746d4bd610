import { expect, test } from "vitest";
import { bytesText, durationText } from "../../../src/cli/amounts.ts";
import { commandText, shown } from "../../../src/cli/shown.ts";
import { table } from "../../../src/cli/table.ts";

test.for([
  [0, "0"],
  [1_023, "1023"],
  [1_536, "1.5K"],
  [23 * 1024 * 1024, "23M"],
  [5 * 1024 ** 5, "5.0P"],
] as const)("%i bytes are %s", ([bytes, text]) => {
  expect(bytesText(bytes)).toBe(text);
});

test.for([
  [12.4, "12ms"],
  [59_999, "59s"],
  [61_000, "1m01s"],
  [3_600_000, "1h00m"],
  [100_000_000, "1d3h"],
] as const)("%i ms are %s", ([ms, text]) => {
  expect(durationText(ms)).toBe(text);
});

test("what a guest says cannot drive a terminal", () => {
  expect(shown("a\x1b[2Jb\n\x9b")).toBe("a\\x1b[2Jb\\x0a\\x9b");
  expect(commandText("sh", ["-c", "it's"])).toBe("sh -c 'it'\\''s'");
});

test("a table has columns of equal width, numbers to the right", () => {
  const rows = [
    ["1", "a"],
    ["100", ""],
  ];

  expect(table(["ID", "NAME"], rows, ["ID"])).toBe(" ID  NAME\n  1  a\n100\n");
});
