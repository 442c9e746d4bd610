import { getEventListeners } from "node:events";
import { expect, test } from "vitest";
import { sleep } from "../../../src/lib/sleep.ts";
import { WakeUp } from "../../../src/lib/wake-up.ts";

const { signal } = new AbortController();
const wakeUp = new WakeUp();
const waitWoken = () => {
  const woken = wakeUp.wait(60_000, signal);
  wakeUp.wake();
  return woken;
};

test.for([
  ["a sleep", () => sleep(0, signal), true],
  ["a wait that is woken", waitWoken, true],
  ["a wait that is not", () => wakeUp.wait(0, signal), false],
] as const)("%s leaves nothing with the signal it was given", async ([, wait, result]) => {
  expect(await wait()).toBe(result);

  expect(getEventListeners(signal, "abort")).toEqual([]);
});
