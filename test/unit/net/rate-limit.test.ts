import { expect, test } from "vitest";
import { RateMeter } from "../../../src/net/rate-limit.ts";

test("takes as many as it may at once, and again as time passes", () => {
  let now = 0;
  const meter = new RateMeter({ burst: 3, perSecond: 2 }, () => now);
  const counts = (times: number) => Array.from({ length: times }, () => meter.count());

  expect(counts(4)).toEqual([false, false, false, true]);
  now += 1_000;
  expect(counts(2)).toEqual([false, true]);
});

test("gathers no more than it may at once, however long it is quiet", () => {
  let now = 0;
  const meter = new RateMeter({ burst: 2, perSecond: 100 }, () => now);
  now += 3_600_000;

  expect([meter.count(), meter.count(), meter.count()]).toEqual([false, false, true]);
});
