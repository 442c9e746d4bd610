import { expect, test } from "vitest";
import { describeExit } from "../../../src/process/exit.ts";

const cases = [
  [0x0000, { exitCode: 0, hasExited: true, status: "exit status 0", error: undefined }],
  [0x0700, { exitCode: 7, hasExited: true, status: "exit status 7", error: "exit status 7" }],
  [0x0009, { exitCode: -1, hasExited: false, status: "signal: killed", error: "signal: killed" }],
  [
    0x000f,
    { exitCode: -1, hasExited: false, status: "signal: terminated", error: "signal: terminated" },
  ],
  [
    0x008b,
    {
      exitCode: -1,
      hasExited: false,
      status: "signal: segmentation fault (core dumped)",
      error: "signal: segmentation fault (core dumped)",
    },
  ],
  [
    0x0022,
    { exitCode: -1, hasExited: false, status: "signal: signal 34", error: "signal: signal 34" },
  ],
] as const;

test.for(cases)("wait status %i is told in the contract's words", ([status, end]) => {
  expect(describeExit(status)).toMatchObject(end);
});

test("a wait status tells the signal and whether there is a core", () => {
  expect(describeExit(0x0700)).toMatchObject({ signal: undefined, hasCore: false });
  expect(describeExit(0x0009)).toMatchObject({ signal: 9, hasCore: false });
  expect(describeExit(0x008b)).toMatchObject({ signal: 11, hasCore: true });
});
