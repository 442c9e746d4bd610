import { expect, test } from "vitest";
import { adjustClock } from "../../../src/init/clock-rule.ts";
import { createLog } from "../../../src/log.ts";

const log = createLog("silent");
const NOW = 1_795_204_657_123_456_789n;
const MS = 1_000_000n;

test.for([
  ["the same", 0n, false],
  ["50 ms behind", -50n * MS, false],
  ["a bit more than 50 ms behind", -50n * MS - 1n, true],
  ["5 s ahead", 5_000n * MS, false],
  ["a bit more than 5 s ahead", 5_000n * MS + 1n, true],
  ["a day behind", -86_400_000n * MS, true],
] as const)("a guest whose clock is %s", ([, ahead, isSet]) => {
  let set: bigint | undefined;
  const clock = { nowNs: () => NOW + ahead, setNs: (ns: bigint) => void (set = ns) };

  adjustClock(clock, NOW, log);

  expect(set).toBe(isSet ? NOW : undefined);
});

test("a clock that cannot be set is no failure", () => {
  const clock = {
    nowNs: () => 0n,
    setNs: () => {
      throw new Error("EPERM");
    },
  };

  expect(() => adjustClock(clock, NOW, log)).not.toThrow();
});
