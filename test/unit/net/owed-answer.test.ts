import { expect, test } from "vitest";
import { OwedAnswer } from "../../../src/net/owed-answer.ts";
import type { TcpInfo } from "../../../src/system/tcp.ts";

/** What the kernel says of a peer that was last heard of `silentMs` ago. */
function seen(silentMs: number, owing: Partial<TcpInfo> = {}): TcpInfo {
  return {
    state: "ESTAB",
    unacked: 0,
    unansweredProbes: 0,
    lastDataSentMs: 0,
    lastDataReceivedMs: silentMs,
    lastAckReceivedMs: silentMs,
    acknowledgedBytes: 0,
    receivedBytes: 0,
    sendWindowBytes: 0,
    ...owing,
  };
}

test("a peer that is asked after a long silence owes an answer from then on", () => {
  const owed = new OwedAnswer();

  expect(owed.owedMs(seen(60_000), 100_000)).toBe(0);
  expect(owed.owedMs(seen(60_100, { unacked: 1 }), 100_100)).toBe(0);
  expect(owed.owedMs(seen(69_100, { unacked: 1 }), 109_100)).toBe(9_000);
});

test("an answer between two looks settles what was owed", () => {
  const owed = new OwedAnswer();
  owed.owedMs(seen(60_000, { unacked: 1 }), 100_000);

  expect(owed.owedMs(seen(5_000, { unacked: 1 }), 109_000)).toBe(0);
  expect(owed.owedMs(seen(0), 110_000)).toBe(0);
  expect(owed.owedMs(seen(1_000, { unacked: 1 }), 111_000)).toBe(0);
});

test("one probe may be lost, two that nobody answers are owed", () => {
  const owed = new OwedAnswer();

  expect(owed.owedMs(seen(60_000, { unansweredProbes: 1 }), 100_000)).toBe(0);
  expect(owed.owedMs(seen(90_000, { unansweredProbes: 1 }), 130_000)).toBe(0);
  expect(owed.owedMs(seen(110_000, { unansweredProbes: 2 }), 150_000)).toBe(0);
  expect(owed.owedMs(seen(120_000, { unansweredProbes: 2 }), 160_000)).toBe(10_000);
});
