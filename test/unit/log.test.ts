import { expect, test } from "vitest";
import { createLog, LogOutput, outputOf } from "../../src/log.ts";

test("lines are handed on at once, and to a second taker", () => {
  const [first, second]: string[][] = [[], []];
  const output = new LogOutput((line) => first?.push(line));
  output.write("a\n");
  output.copyTo((line) => second?.push(line));
  output.write("b\n");
  output.copyTo(undefined);
  output.write("c\n");

  expect(first).toEqual(["a\n", "b\n", "c\n"]);
  expect(second).toEqual(["b\n"]);
});

test("what is held comes out in its order when it is released", () => {
  const lines: string[] = [];
  const output = new LogOutput((line) => lines.push(line));
  output.hold();
  output.write("a\n");
  output.hold();
  output.write("b\n");
  expect(lines).toEqual([]);

  output.release();
  output.write("c\n");
  output.release();

  expect(lines).toEqual(["a\n", "b\n", "c\n"]);
});

test("of what is held only the newest mebibyte is kept", () => {
  const lines: string[] = [];
  const output = new LogOutput((line) => lines.push(line));
  output.hold();
  for (let number = 0; number < 20; number += 1) output.write(`${number} `.padEnd(100_000, "x"));
  output.release();

  expect(lines.map((line) => Number.parseInt(line, 10))).toEqual([
    10, 11, 12, 13, 14, 15, 16, 17, 18, 19,
  ]);
});

test("the output of a log is found, also by its children", () => {
  const log = createLog("silent");

  expect(outputOf(log)).toBeInstanceOf(LogOutput);
  expect(outputOf(log.child({ room: "init" }))).toBe(outputOf(log));
});
