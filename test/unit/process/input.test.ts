import type { Socket } from "node:net";
import { Writable } from "node:stream";
import { expect, test } from "vitest";
import { Input } from "../../../src/process/input.ts";

const { signal } = new AbortController();

/** An input of a program that reads a write only when it is told to. */
function input(): { input: Input; written: () => string; read: () => void } {
  let written = "";
  const waiting: (() => void)[] = [];
  const stream = new Writable({
    write(chunk: Buffer, _encoding, done) {
      written += chunk.toString();
      waiting.push(done);
    },
  });
  return {
    input: new Input(stream as unknown as Socket),
    written: () => written,
    read: () => waiting.shift()?.(),
  };
}

test("what overlaps is written once", async () => {
  const { input: stdin, written, read } = input();
  const first = stdin.writeAt(0, Buffer.from("abc"), signal);
  read();
  await first;

  const second = stdin.writeAt(1, Buffer.from("bcde"), signal);
  read();

  expect(await second).toBe(5);
  expect(written()).toBe("abcde");
});

test("a repeated write is answered when the first has been taken", async () => {
  const { input: stdin, written, read } = input();
  const done: string[] = [];
  const first = stdin.writeAt(0, Buffer.from("ab"), signal).then(() => done.push("first"));
  const repeated = stdin.writeAt(0, Buffer.from("ab"), signal).then(() => done.push("repeated"));
  await new Promise((resolve) => setImmediate(resolve));
  expect(done).toEqual([]);

  read();
  await Promise.all([first, repeated]);

  expect(done).toEqual(["first", "repeated"]);
  expect(written()).toBe("ab");
});

test("an aborted write with an offset stays, so that its repetition is left out", async () => {
  const { input: stdin, written, read } = input();
  const first = stdin.writeAt(0, Buffer.from("a"), signal);
  const leave = new AbortController();
  const aborted = stdin.writeAt(1, Buffer.from("b"), leave.signal);
  leave.abort();
  await expect(aborted).rejects.toThrow("aborted");

  const repeated = stdin.writeAt(1, Buffer.from("bc"), signal);
  for (const _ of "abc") {
    read();
    await new Promise((resolve) => setImmediate(resolve));
  }

  await first;
  expect(await repeated).toBe(3);
  expect(written()).toBe("abc");
});

test("a hole is refused with the offset that is expected", async () => {
  const { input: stdin, read } = input();
  const first = stdin.writeAt(0, Buffer.from("abc"), signal);
  read();
  await first;

  const writing = stdin.writeAt(4, Buffer.from("e"), signal);

  await expect(writing).rejects.toMatchObject({ code: "out-of-range", expected: 3 });
});
