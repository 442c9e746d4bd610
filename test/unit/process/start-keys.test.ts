import { afterEach, beforeEach, expect, test, vi } from "vitest";
import { StartKeys } from "../../../src/process/start-keys.ts";

let keys: StartKeys<string>;

beforeEach(() => {
  vi.useFakeTimers();
  keys = new StartKeys();
});
afterEach(() => {
  keys[Symbol.dispose]();
  expect(vi.getTimerCount()).toBe(0);
  vi.useRealTimers();
});

test("a key is known while its process lives, and for 30 s", async () => {
  keys.add("k", "request", Promise.resolve("process"));
  await vi.advanceTimersByTimeAsync(100_000);
  keys.forgetLater("k");

  await vi.advanceTimersByTimeAsync(29_000);
  expect(await keys.find("k", "request")).toBe("process");
  await vi.advanceTimersByTimeAsync(2_000);
  expect(keys.find("k", "request")).toBeUndefined();
});

test("of very many that have ended the latest are known, and all that live", () => {
  keys.add("live", "request", Promise.resolve("process"));
  for (let index = 0; index < 10_001; index += 1) {
    keys.add(`${index}`, "request", Promise.resolve("process"));
    keys.forgetLater(`${index}`);
  }

  expect(keys.find("0", "request")).toBeUndefined();
  expect(keys.find("1", "request")).toBeDefined();
  expect(keys.find("live", "request")).toBeDefined();
});

test("a start that fails gives its key back", async () => {
  const failing = Promise.reject(new Error("no"));
  keys.add("k", "request", failing);
  await expect(failing).rejects.toThrow("no");
  await Promise.resolve();

  expect(keys.find("k", "another")).toBeUndefined();
});
