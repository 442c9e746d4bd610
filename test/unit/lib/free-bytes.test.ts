import { expect, test } from "vitest";
import { freeBytes } from "../../../src/lib/free-bytes.ts";

test("bytes that have their memory for themselves are gone at once", () => {
  const bytes = new Uint8Array(1024 * 1024);
  const before = process.memoryUsage().arrayBuffers;

  freeBytes(bytes);

  expect(bytes.length).toBe(0);
  expect(before - process.memoryUsage().arrayBuffers).toBeGreaterThanOrEqual(1024 * 1024);
});

test("bytes that share their memory stay, and so does what they share it with", () => {
  const whole = Buffer.alloc(1024, "a");

  freeBytes(whole.subarray(1));
  freeBytes(new Uint8Array(new SharedArrayBuffer(8)));

  expect(whole.toString()).toBe("a".repeat(1024));
});
