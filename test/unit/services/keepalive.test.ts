import { expect, test } from "vitest";
import { keepaliveIntervalMs } from "../../../src/services/keepalive.ts";

const interval = (value: string) =>
  keepaliveIntervalMs(new Headers({ "keepalive-ping-interval": value }));

test("the interval is in whole seconds", () => {
  expect(interval("50")).toBe(50_000);
  expect(interval("1")).toBe(1000);
});

test("a missing interval is 90 seconds", () => {
  expect(keepaliveIntervalMs(new Headers())).toBe(90_000);
});

test("an interval longer than a timer can wait is the longest a timer can wait", () => {
  expect(interval("99999999999999999999")).toBe(2 ** 31 - 1);
});

test.for(["0", "-1", "1.5", "abc", "", "50, 50", "1e3", "0x10", "NaN"])(
  "the interval %j is invalid",
  (value) => {
    expect(() => interval(value)).toThrow(
      expect.objectContaining({
        code: "invalid",
        message: expect.stringContaining("Keepalive-Ping-Interval is not a positive whole number"),
      }),
    );
  },
);
