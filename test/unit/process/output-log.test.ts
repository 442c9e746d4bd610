import * as fc from "fast-check";
import { expect, test } from "vitest";
import { noOffsets, type Offsets } from "../../../src/process/offsets.ts";
import type { OutputKind } from "../../../src/process/output.ts";
import { OutputLog } from "../../../src/process/output-log.ts";

const CAPACITY = 64 * 1024;

function logOf(whenFull: "drop-oldest" | "wait"): OutputLog {
  return new OutputLog({ capacityBytes: CAPACITY, whenFull });
}

/** All that `log` has from these offsets on, joined, with zeros where a gap is told. */
function readAll(
  log: OutputLog,
  from: Offsets,
): { text: Record<OutputKind, string>; gaps: number } {
  const text = { stdout: "", stderr: "", pty: "" };
  const cursor = log.cursor(from);
  let gaps = 0;
  for (let entry = log.read(cursor, 4_096); entry; entry = log.read(cursor, 4_096)) {
    const at = from[entry.output] + text[entry.output].length;
    if (entry.kind === "gap") {
      gaps += 1;
      expect(entry.from).toBe(at);
      text[entry.output] += "\0".repeat(entry.to - entry.from);
    } else if (entry.kind === "chunk") {
      expect(entry.offset).toBe(at);
      text[entry.output] += Buffer.from(entry.bytes).toString("latin1");
    }
  }
  return { text, gaps };
}

const anyWrites = fc.array(
  fc.tuple(fc.constantFrom<OutputKind>("stdout", "stderr"), fc.integer({ min: 1, max: 32_768 })),
  { maxLength: 20 },
);

test("a reader gets every byte at its offset, or a gap where it is not kept", () => {
  fc.assert(
    fc.property(anyWrites, fc.nat(), (writes, start) => {
      const log = logOf("drop-oldest");
      const written = { stdout: "", stderr: "", pty: "" };
      for (const [index, [kind, size]] of writes.entries()) {
        const bytes = Buffer.alloc(size, `${index},`);
        written[kind] += bytes.toString("latin1");
        log.append(kind, bytes);
      }
      const from = noOffsets();
      from.stdout = start % (written.stdout.length + 1);

      const { text } = readAll(log, from);

      const kept = Object.values(text).join("").replaceAll("\0", "").length;
      expect(kept).toBeGreaterThanOrEqual(Math.min(log.end, CAPACITY) - from.stdout);
      for (const kind of ["stdout", "stderr"] as const) {
        const expected = written[kind].slice(from[kind]);
        expect(text[kind].length).toBe(expected.length);
        const lost = text[kind].lastIndexOf("\0") + 1;
        expect(text[kind].slice(lost)).toBe(expected.slice(lost));
      }
    }),
  );
});

test("the order of both outputs is kept", () => {
  const log = logOf("drop-oldest");
  for (const [index, kind] of (["stdout", "stderr", "stdout"] as const).entries()) {
    log.append(kind, Buffer.from(String(index)));
  }
  const cursor = log.cursor(noOffsets());

  const order = [0, 1, 2].map(() => log.read(cursor, 100));

  expect(order.map((entry) => entry?.output)).toEqual(["stdout", "stderr", "stdout"]);
  expect(log.read(cursor, 100)).toBeUndefined();
});

test("a little output takes a little memory, and much output no more than the capacity", () => {
  const log = logOf("drop-oldest");
  log.append("stdout", Buffer.alloc(10));
  expect(log.storedBytes).toBeLessThan(1_024);

  for (let chunk = 0; chunk < 100; chunk++) log.append("stdout", Buffer.alloc(32_768));

  expect(log.storedBytes).toBe(CAPACITY);
});

test("outputs that take turns at every byte do not fill the memory with their order", () => {
  const log = logOf("drop-oldest");
  for (let byte = 0; byte < 40_000; byte++) {
    log.append(byte % 2 === 0 ? "stdout" : "stderr", Buffer.from("x"));
  }

  const { gaps } = readAll(log, noOffsets());

  expect(gaps).toBe(2);
});

test("a log that waits is full before it loses a byte, and has room once that is acknowledged", () => {
  const log = logOf("wait");
  while (!log.isFull) log.append("stdout", Buffer.alloc(10_000, "a"));
  log.append("stderr", Buffer.alloc(32_768, "b"));
  log.append("stdout", Buffer.alloc(32_768, "c"));

  expect(readAll(log, noOffsets()).gaps).toBe(0);
  expect(log.end).toBe(log.offsets.stdout + log.offsets.stderr);

  log.acknowledge(log.offsets);
  expect(log.isFull).toBe(false);
});

test("an offset that is not there yet is refused with the one that is", () => {
  const log = logOf("drop-oldest");
  log.append("stdout", Buffer.from("four"));

  expect(() => log.cursor({ ...noOffsets(), stdout: 5 })).toThrow(
    expect.objectContaining({ code: "out-of-range", expected: 4 }),
  );
});
