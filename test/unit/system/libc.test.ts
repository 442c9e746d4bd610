import { getSystemErrorName } from "node:util";
import { expect, test } from "vitest";
import { errnoName } from "../../../src/system/libc.ts";

test("a number with several names has the one of Node's own errors", () => {
  const numbers = Array.from({ length: 132 }, (_, number) => number + 1);
  const named = numbers.filter((number) => !errnoName(number).startsWith("errno"));

  expect(errnoName(11)).toBe("EAGAIN");
  expect(errnoName(95)).toBe("ENOTSUP");
  for (const number of named) {
    const nodes = getSystemErrorName(-number);
    if (!nodes.startsWith("Unknown")) expect(errnoName(number)).toBe(nodes);
  }
});
