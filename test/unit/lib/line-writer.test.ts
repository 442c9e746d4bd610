import { readFileSync } from "node:fs";
import { test as base, expect, vi } from "vitest";
import { LineWriter } from "../../../src/lib/line-writer.ts";
import { sendNow } from "../../../src/system/send-now.ts";
import { UnreadPipe } from "../../helpers/unread-pipe.ts";
import { UnreadSocket } from "../../helpers/unread-socket.ts";

const LINES = 15_000;
const lineOf = (number: number) => `${number} `.padEnd(99, "x");

const test = base.extend<{ pipe: UnreadPipe; writer: LineWriter }>({
  // oxlint-disable-next-line no-empty-pattern -- vitest reads what a fixture needs from here
  pipe: async ({}, use) => {
    using pipe = new UnreadPipe();
    await use(pipe);
  },
  writer: async ({ pipe }, use) => {
    await use(new LineWriter({ fd: pipe.fd, describeDropped: (count) => `dropped ${count}\n` }));
  },
});

test("a reader that does not read holds up nobody, and is told what it has missed", async ({
  pipe,
  writer,
}) => {
  for (let number = 0; number < LINES; number += 1) writer.write(`${lineOf(number)}\n`);
  expect(writer.awake).toMatch(/^log: 10\d{5} bytes wait/);

  await vi.waitFor(() => expect(pipe.lines().at(-1)).toMatch(/^dropped/), { timeout: 4_000 });
  writer.write("later\n");

  const lines = pipe.lines();
  const [dropped, later] = lines.splice(-2);
  expect(lines).toEqual(lines.map((_, number) => lineOf(number)));
  expect(lines.length).toBeGreaterThan(10_000);
  expect(dropped).toBe(`dropped ${LINES - lines.length}`);
  expect(later).toBe("later");
  expect(writer.awake).toBeUndefined();
});

test("what was dropped is told in its place", async ({ pipe, writer }) => {
  const long = `${"x".repeat(600_000)}\n`;
  for (const line of [long, long, long, "short\n"]) writer.write(line);

  await vi.waitFor(() => expect(pipe.lines().at(-1)).toBe("short"), { timeout: 4_000 });
  expect(pipe.lines().map((line) => line.slice(0, 10))).toEqual([
    "xxxxxxxxxx",
    "dropped 2",
    "short",
  ]);
});

test("nothing is dropped that has room since the reader has read", ({ pipe, writer }) => {
  writer.write(`${"x".repeat(1_040_000)}\n`);
  pipe.lines();
  writer.write(`${"y".repeat(100_000)}\n`);

  for (let reads = 0; writer.awake !== undefined && reads < 100; reads += 1) {
    pipe.lines();
    writer.flush();
  }
  expect(pipe.lines().map((line) => line.slice(0, 10))).toEqual(["xxxxxxxxxx", "yyyyyyyyyy"]);
});

test("a reader that is gone keeps nothing awake, and gets all when it is back", async ({
  pipe,
  writer,
}) => {
  pipe.closeReader();
  writer.write("first\n");
  writer.write("second\n");
  expect(writer.awake).toBeUndefined();

  pipe.openReader();
  writer.write("third\n");
  expect(pipe.lines()).toEqual(["first", "second", "third"]);

  pipe.closeReader();
  writer.write("fourth\n");
  pipe.openReader();
  writer.write("fifth\n");
  expect(pipe.lines()).toEqual(["first", "second", "third", "fourth", "fifth"]);
});

test("who else has the descriptor still waits as before", ({ pipe, writer }) => {
  const flags = () =>
    /flags:\s+(\d+)/.exec(readFileSync(`/proc/self/fdinfo/${pipe.fd}`, "utf8"))?.[1];
  const before = flags();
  pipe.fill();
  writer.write("line\n");

  expect(writer.awake).toBeDefined();
  expect(flags()).toBe(before);
});

test("a socket that nobody reads holds up nobody, and gets all once it is read", async () => {
  using socket = new UnreadSocket();
  const writer = new LineWriter({
    fd: socket.fd,
    describeDropped: (count) => `dropped ${count}\n`,
  });
  writer.sendNow = sendNow;
  socket.fill();
  const lines = Array.from({ length: 10 }, (_, number) => lineOf(number));
  for (const line of lines) writer.write(`${line}\n`);
  expect(writer.awake).toMatch(/^log: 1000 bytes wait/);

  await vi.waitFor(() => expect(socket.lines()).toEqual(lines), { timeout: 4_000 });
  expect(writer.awake).toBeUndefined();
});

test("last words are waited for, but not for ever", ({ pipe, writer }) => {
  pipe.fill();
  writer.write("last words\n");
  const start = performance.now();
  writer.flushFor(50);
  expect(performance.now() - start).toBeGreaterThanOrEqual(50);

  pipe.lines();
  writer.flushFor(10_000);
  expect(pipe.lines().at(-1)).toBe("last words");
});
