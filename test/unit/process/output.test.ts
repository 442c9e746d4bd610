import { closeSync, writeSync } from "node:fs";
import { expect, test, vi } from "vitest";
import { FanOut } from "../../../src/process/fan-out.ts";
import { Output, OutputReader } from "../../../src/process/output.ts";
import { openPty } from "../../../src/process/pty.ts";

const LARGE = 32_768;
const filled = (byte: number, size = LARGE) => new Output("stdout", Buffer.alloc(size, byte));
const sharesMemory = (one: Output, other: Output) =>
  one.storage.buffer === other.storage.buffer &&
  one.storage.byteOffset === other.storage.byteOffset;

test("the memory of a chunk is used again once its last holder has let go, and not before", () => {
  const first = filled(1);
  first.hold();
  first.release();
  const second = filled(2);
  expect(sharesMemory(first, second)).toBe(false);
  expect(first.bytes.equals(Buffer.alloc(LARGE, 1))).toBe(true);

  first.release();

  expect(sharesMemory(first, filled(3))).toBe(true);
  expect(second.bytes.equals(Buffer.alloc(LARGE, 2))).toBe(true);
});

test("text made of a chunk goes with the chunk", () => {
  const first = filled(1);
  const text = first.allocateText(43_000);
  expect(filled(2).allocateText(43_000).buffer).not.toBe(text.buffer);

  first.release();

  expect(filled(3).allocateText(43_000).buffer).toBe(text.buffer);
});

test("small chunks have memory of their own size", () => {
  expect(filled(1, 100).storage.length).toBeLessThan(200);
});

test("a chunk that two viewers wait for stays as it is when one of them leaves", () => {
  const fanOut = new FanOut(() => {});
  const [leaving, staying] = [fanOut.subscribe(), fanOut.subscribe()];
  const output = filled(7);
  fanOut.publish(output);
  output.release();

  leaving.close();
  filled(8);

  const event = staying.next();
  expect(event?.kind === "output" && event.output.bytes.equals(Buffer.alloc(LARGE, 7))).toBe(true);
});

test("a terminal whose programs have gone is told to have ended once, after all they wrote", async () => {
  const { masterFd, slaveFd } = openPty({ cols: 80, rows: 24 }, 0);
  const seen: string[] = [];
  const onEnd = vi.fn();
  const onOutput = (output: Output) => seen.push(output.bytes.toString()) > 0;
  const reader = new OutputReader("pty", masterFd, { onOutput, onEnd });
  writeSync(slaveFd, "last words");

  closeSync(slaveFd);

  await vi.waitFor(() => expect(onEnd).toHaveBeenCalledTimes(1));
  expect(seen.join("")).toBe("last words");
  reader.drainAndClose();
  expect(onEnd).toHaveBeenCalledTimes(1);
  closeSync(masterFd);
});
