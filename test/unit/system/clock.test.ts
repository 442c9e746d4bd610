import { expect, test } from "vitest";
import { parseRfc3339, systemClock } from "../../../src/system/clock.ts";

test("the machine's clock agrees with Date", () => {
  const before = BigInt(Date.now()) * 1_000_000n;
  const now = systemClock.nowNs();
  const after = BigInt(Date.now() + 1) * 1_000_000n;

  expect(now).toBeGreaterThanOrEqual(before);
  expect(now).toBeLessThanOrEqual(after);
});

test("a time the kernel refuses is an error and leaves the clock alone", () => {
  expect(() => systemClock.setNs(-1_000_000_000n)).toThrow("clock_settime: E");
});

test.for([
  ["1970-01-01T00:00:00Z", 0n],
  ["1970-01-01T00:00:00.000000001Z", 1n],
  ["1970-01-01t00:00:01.5z", 1_500_000_000n],
  ["2026-11-20T19:57:37.123456789Z", 1_795_204_657_123_456_789n],
  ["2026-11-20T21:57:37.123456789+02:00", 1_795_204_657_123_456_789n],
  ["2026-11-20T14:27:37.123456789-05:30", 1_795_204_657_123_456_789n],
  ["2026-11-20T19:57:37.1234567899999Z", 1_795_204_657_123_456_789n],
  ["2024-02-29T00:00:00Z", 1_709_164_800_000_000_000n],
  ["1969-12-31T23:59:59.999999999Z", -1n],
  ["0099-01-01T00:00:00Z", -59_042_995_200_000_000_000n],
] as const)("%s is %i ns", ([text, ns]) => {
  expect(parseRfc3339(text)).toBe(ns);
});

test.for([
  "",
  "now",
  "2026-11-20",
  "2026-11-20 19:57:37Z",
  "2026-11-20T19:57:37",
  "2026-11-20T19:57Z",
  "2026-13-20T19:57:37Z",
  "2026-00-20T19:57:37Z",
  "2025-02-29T00:00:00Z",
  "2026-11-31T00:00:00Z",
  "2026-11-20T24:00:00Z",
  "2026-11-20T19:60:00Z",
  "2026-11-20T19:57:61Z",
  "2026-11-20T19:57:37.Z",
  "2026-11-20T19:57:37+24:00",
  "2026-11-20T19:57:37+02:60",
  "2026-11-20T19:57:37+0200",
  " 2026-11-20T19:57:37Z",
  "2026-11-20T19:57:37Z\n",
])("%j is no RFC 3339 time", (text) => {
  expect(parseRfc3339(text)).toBeUndefined();
});
