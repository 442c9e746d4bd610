import { expect, test } from "vitest";
import { signalNumber } from "../../../src/client/signals.ts";

test.for([
  ["SIGTERM", 15],
  ["kill", 9],
  ["Int", 2],
  ["sigusr2", 12],
  ["SYS", 31],
  ["34", 34],
  [64, 64],
] as const)("%s is signal %i", ([signal, number]) => {
  expect(signalNumber(signal)).toBe(number);
});

test.for(["", "SIGNOTHING", "0", 65, -1])("%s is refused", (signal) => {
  expect(() => signalNumber(signal)).toThrow(/is no signal: give a name/);
});
