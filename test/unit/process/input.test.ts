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
  const first = stdin.writeAt({ offset: 0, writer: "" }, Buffer.from("abc"), signal);
  read();
  await first;

  const second = stdin.writeAt({ offset: 1, writer: "" }, Buffer.from("bcde"), signal);
  read();

  expect(await second).toBe(5);
  expect(written()).toBe("abcde");
});

test("a repeated write is answered when the first has been taken", async () => {
  const { input: stdin, written, read } = input();
  const done: string[] = [];
  const first = stdin
    .writeAt({ offset: 0, writer: "" }, Buffer.from("ab"), signal)
    .then(() => done.push("first"));
  const repeated = stdin
    .writeAt({ offset: 0, writer: "" }, Buffer.from("ab"), signal)
    .then(() => done.push("repeated"));
  await new Promise((resolve) => setImmediate(resolve));
  expect(done).toEqual([]);

  read();
  await Promise.all([first, repeated]);

  expect(done).toEqual(["first", "repeated"]);
  expect(written()).toBe("ab");
});

test("an aborted write with an offset stays, as others may have gone on behind it", async () => {
  const { input: stdin, written, read } = input();
  const first = stdin.writeAt({ offset: 0, writer: "" }, Buffer.from("a"), signal);
  const leave = new AbortController();
  const aborted = stdin.writeAt({ offset: 1, writer: "" }, Buffer.from("b"), leave.signal);
  const next = stdin.writeAt({ offset: 2, writer: "" }, Buffer.from("c"), signal);
  leave.abort();
  await expect(aborted).rejects.toThrow("aborted");

  const repeated = stdin.writeAt({ offset: 1, writer: "" }, Buffer.from("bcd"), signal);
  for (const _ of "abcd") {
    read();
    await new Promise((resolve) => setImmediate(resolve));
  }

  await Promise.all([first, next]);
  expect(await repeated).toBe(4);
  expect(written()).toBe("abcd");
});

test("a hole is refused with the offset that is expected", async () => {
  const { input: stdin, read } = input();
  const first = stdin.writeAt({ offset: 0, writer: "" }, Buffer.from("abc"), signal);
  read();
  await first;

  const writing = stdin.writeAt({ offset: 4, writer: "" }, Buffer.from("e"), signal);

  await expect(writing).rejects.toMatchObject({ code: "out-of-range", expected: 3 });
});

test("each writer counts its own bytes, and what it repeats is left out", async () => {
  const { input: stdin, written, read } = input();
  const write = async (writer: string, offset: number, text: string) => {
    const writing = stdin.writeAt({ offset, writer }, Buffer.from(text), signal);
    read();
    return await writing;
  };
  await write("one", 0, "ab");
  await write("two", 0, "xyz");

  expect(await write("one", 1, "bc")).toBe(3);
  expect(await write("two", 0, "xyz")).toBe(3);
  expect(await write("two", 0, ""), "where it is").toBe(3);
  expect(written()).toBe("abxyzc");
  await expect(write("one", 4, "e")).rejects.toMatchObject({ expected: 3 });
});

test("the writer that was silent longest is forgotten beyond 256 of them", async () => {
  const { input: stdin, read } = input();
  for (let number = 0; number <= 256; number++) {
    const writing = stdin.writeAt(
      { offset: 0, writer: `writer ${number}` },
      Buffer.from("a"),
      signal,
    );
    read();
    await writing;
  }

  const place = (number: number) => ({ offset: 0, writer: `writer ${number}` });
  expect(await stdin.writeAt(place(0), Buffer.alloc(0), signal)).toBe(0);
  expect(await stdin.writeAt(place(1), Buffer.alloc(0), signal)).toBe(1);
});
