import { closeSync, openSync, readFileSync } from "node:fs";
import * as fc from "fast-check";
import { expect, test } from "vitest";
import { BATCH_BYTES, BatchWriter } from "../../../src/filesystem/batch-writer.ts";
import { scratchDirectory } from "../../helpers/scratch.ts";

test("a small body is not written before its end, and needs no file until then", async () => {
  let opened = 0;
  const writer = new BatchWriter(async () => {
    opened += 1;
    return -1;
  });

  for (let pushed = 0; pushed < 5_000; pushed += 1) {
    expect(writer.push(Buffer.from("x"))).toBeUndefined();
  }

  expect(opened).toBe(0);
  expect(writer.totalBytes).toBe(5_000);
  expect(Buffer.concat(writer.takeRest()).toString()).toBe("x".repeat(5_000));
});

test("whoever pushes faster than the disk writes is asked to wait", async () => {
  using scratch = scratchDirectory();
  const fd = openSync(`${scratch.path}/f`, "w");
  const writer = new BatchWriter(async () => fd);

  expect(writer.push(Buffer.alloc(BATCH_BYTES, 1))).toBeUndefined();
  const wait = writer.push(Buffer.alloc(BATCH_BYTES, 2));
  expect(wait).toBeInstanceOf(Promise);
  await wait;
  await writer.finish();
  closeSync(fd);

  const written = readFileSync(`${scratch.path}/f`);
  expect(written.length).toBe(2 * BATCH_BYTES);
  expect([written[0], written.at(-1)]).toEqual([1, 2]);
});

test("a failed write fails every later push and the end", async () => {
  const writer = new BatchWriter(async () => -1);
  const batch = Buffer.alloc(BATCH_BYTES);

  void writer.push(batch);

  await expect(writer.push(batch)).rejects.toThrow();
  await expect(writer.push(batch)).rejects.toThrow();
  await expect(writer.settle()).rejects.toThrow();
  await expect(writer.finish()).rejects.toThrow();
});

test("bytes arrive in order, however they are cut", async () => {
  using scratch = scratchDirectory();
  const sizes = fc.array(fc.integer({ min: 0, max: 700_000 }), { maxLength: 12 });
  await fc.assert(
    fc.asyncProperty(sizes, async (lengths) => {
      const fd = openSync(`${scratch.path}/f`, "w");
      const writer = new BatchWriter(async () => fd);
      const chunks = lengths.map((length, index) => Buffer.alloc(length, index + 1));
      const whole = Buffer.concat(chunks);

      for (const chunk of chunks) await writer.push(chunk);
      await writer.finish();
      closeSync(fd);

      expect(readFileSync(`${scratch.path}/f`).equals(whole)).toBe(true);
    }),
    { numRuns: 20 },
  );
});

test("what is written is not kept until the garbage collector looks for it", async () => {
  using scratch = scratchDirectory();
  const fd = openSync(`${scratch.path}/f`, "w");
  const writer = new BatchWriter(async () => fd);
  const chunks = Array.from({ length: 64 }, (_, i) => Buffer.alloc(BATCH_BYTES / 16, i));

  for (const chunk of chunks) await writer.push(chunk);
  await writer.finish();
  closeSync(fd);

  expect(chunks.map((chunk) => chunk.length)).toEqual(chunks.map(() => 0));
});
