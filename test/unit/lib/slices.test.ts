import { expect, test, vi } from "vitest";
import { Slices } from "../../../src/lib/slices.ts";

/** Keeps the processor busy for `ms`. */
function work(ms: number): void {
  const end = performance.now() + ms;
  while (performance.now() < end);
}

test("works on every piece in order, and lets others in between", async () => {
  const slices = new Slices();
  const done: number[] = [];
  let turns = 0;
  const count = () => {
    turns += 1;
    if (done.length < 100) setImmediate(count);
  };
  setImmediate(count);

  for (let piece = 0; piece < 100; piece++) {
    slices.add(() => {
      work(1);
      done.push(piece);
    });
  }

  await vi.waitFor(() => expect(done.length).toBe(100));
  expect(done).toEqual(done.toSorted((a, b) => a - b));
  expect(turns).toBeGreaterThan(10);
});

test("goes on after a piece that fails", async () => {
  const slices = new Slices();
  const failures: unknown[] = [];
  const listeners = process.listeners("uncaughtException");
  process.removeAllListeners("uncaughtException");
  process.once("uncaughtException", (reason) => failures.push(reason));
  const after = vi.fn();

  slices.add(() => {
    throw new Error("broken");
  });
  slices.add(after);

  await vi.waitFor(() => expect(after).toHaveBeenCalled());
  expect(failures).toHaveLength(1);
  for (const listener of listeners) process.on("uncaughtException", listener);
});
