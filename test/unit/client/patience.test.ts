import { Code, ConnectError } from "@connectrpc/connect";
import { afterEach, beforeEach, expect, test, vi } from "vitest";
import { GuestError } from "../../../src/client/errors.ts";
import { Patience, untilAnswered } from "../../../src/client/patience.ts";

const CUT = new GuestError("unreachable", "reset");

beforeEach(() => {
  vi.useFakeTimers();
});
afterEach(() => {
  vi.useRealTimers();
});

/** How long it waits before each of so many attempts, in ms. */
async function delays(patience: Patience, count: number): Promise<number[]> {
  const waited: number[] = [];
  for (let attempt = 0; attempt < count; attempt++) {
    const start = performance.now();
    await Promise.all([patience.afterCut(CUT), vi.runAllTimersAsync()]);
    waited.push(performance.now() - start);
  }
  return waited;
}

test("the first attempt is made at once, and each later one after a longer wait, up to 2 s", async () => {
  const [first, ...later] = await delays(new Patience({}), 10);

  expect(first).toBe(0);
  for (const [index, delay] of later.entries()) {
    const longest = Math.min(2_000, 50 * 2 ** index);
    expect(delay).toBeGreaterThanOrEqual(longest / 2 - 1);
    expect(delay).toBeLessThanOrEqual(longest + 1);
  }
});

test("an answer alone does not make attempts come faster, as that would be a storm", async () => {
  const patience = new Patience({});
  await delays(patience, 7);
  patience.answered();
  expect((await delays(patience, 1))[0]).toBeGreaterThan(900);
  patience.progressed();

  expect((await delays(patience, 1))[0]).toBe(0);
});

test("what was silent for longer than that is not given up at its first cut", async () => {
  const patience = new Patience({ giveUpAfterMs: 1_000 });
  patience.answered();
  await vi.advanceTimersByTimeAsync(3_600_000);

  expect(await delays(patience, 1)).toEqual([0]);
});

test("a guest that does not answer for so long is given up, with the reason", async () => {
  const patience = new Patience({ giveUpAfterMs: 1_000 });
  const failing = expect(delays(patience, 100)).rejects.toBe(CUT);
  await vi.runAllTimersAsync();
  await failing;

  await expect(new Patience({ giveUpAfterMs: 0 }).afterCut(CUT)).rejects.toBe(CUT);
});

test("an outage is told once when it begins, and once when it is over", async () => {
  const told: string[] = [];
  const patience = new Patience({
    onInterrupted: ({ message }) => told.push(message),
    onResumed: () => told.push("resumed"),
  });
  patience.answered();
  await delays(patience, 3);
  patience.answered();
  patience.answered();

  expect(told).toEqual(["reset", "resumed"]);
});

test("whoever leaves is not made to wait", async () => {
  const leaving = new AbortController();
  const patience = new Patience({ signal: leaving.signal });
  await delays(patience, 5);
  const waiting = expect(patience.afterCut(CUT)).rejects.toThrow("enough");
  leaving.abort(new Error("enough"));

  await waiting;
});

test("a call is made until it is answered, and a refusal is an answer", async () => {
  const answered = { "content-type": "application/json" };
  const failures = [
    new ConnectError("reset", Code.Internal),
    new ConnectError("late", Code.DeadlineExceeded),
    new ConnectError("no", Code.NotFound, answered),
  ];
  const attempts: number[] = [];
  const calling = untilAnswered(
    async (_, attempt) => {
      attempts.push(attempt);
      throw failures[attempt - 1] ?? new Error("too many attempts");
    },
    { attemptMs: 1_000 },
  );
  const failing = expect(calling).rejects.toMatchObject({ kind: "not-found" });
  await vi.runAllTimersAsync();
  await failing;

  expect(attempts).toEqual([1, 2, 3]);
});

test("a call that is answered in the end ends the outage", async () => {
  const told: string[] = [];
  const calling = untilAnswered(
    async (_, attempt) => {
      if (attempt < 3) throw new ConnectError("reset", Code.Internal);
      return "answer";
    },
    {
      attemptMs: 1_000,
      onInterrupted: () => told.push("interrupted"),
      onResumed: () => told.push("resumed"),
    },
  );
  await vi.runAllTimersAsync();

  expect(await calling).toBe("answer");
  expect(told).toEqual(["interrupted", "resumed"]);
});
