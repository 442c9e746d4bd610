import { expect, test, vi } from "vitest";
import { describeExit } from "../../../src/process/exit.ts";
import { FanOut } from "../../../src/process/fan-out.ts";
import { Output } from "../../../src/process/output.ts";
import type { Subscription } from "../../../src/process/subscription.ts";
import { GIVE_UP_ABOVE_BYTES, WAIT_ABOVE_BYTES } from "../../../src/process/viewer.ts";

const CHUNK = 32_768;
const chunk = () => new Output("stdout", new Uint8Array(CHUNK));
const chunksIn = (bytes: number) => Math.ceil(bytes / CHUNK);

function readAll(viewer: Subscription): number {
  let bytes = 0;
  for (let event = viewer.next(); event !== undefined; event = viewer.next()) {
    if (event.kind === "output") bytes += event.output.size;
  }
  return bytes;
}

test("a process nobody watches is never held up", () => {
  const fanOut = new FanOut(() => {});

  expect(Array.from({ length: 1_000 }, () => fanOut.publish(chunk()))).not.toContain(false);
});

test("a single viewer that does not read holds the process up, and releases it by reading", () => {
  const resume = vi.fn();
  const fanOut = new FanOut(resume);
  const viewer = fanOut.subscribe();

  const answers = Array.from({ length: chunksIn(WAIT_ABOVE_BYTES) }, () => fanOut.publish(chunk()));

  expect(answers.at(-1)).toBe(false);
  expect(resume).not.toHaveBeenCalled();
  expect(readAll(viewer)).toBe(WAIT_ABOVE_BYTES);
  expect(resume).toHaveBeenCalledTimes(1);
});

test("a viewer that does not read never holds up one that does", () => {
  const fanOut = new FanOut(() => {});
  const stopped = fanOut.subscribe();
  const reading = fanOut.subscribe();
  let read = 0;

  for (let count = 0; count < chunksIn(4 * GIVE_UP_ABOVE_BYTES); count++) {
    expect(fanOut.publish(chunk())).toBe(true);
    read += readAll(reading);
  }

  expect(read).toBe(4 * GIVE_UP_ABOVE_BYTES);
  expect(stopped.waitingBytes).toBe(GIVE_UP_ABOVE_BYTES);
  expect(stopped.behindBytes).toBe(4 * GIVE_UP_ABOVE_BYTES);
});

test("a viewer that was given up gets what was kept, then how far behind it is", () => {
  const fanOut = new FanOut(() => {});
  const slow = fanOut.subscribe();
  const reading = fanOut.subscribe();
  for (let count = 0; count < chunksIn(GIVE_UP_ABOVE_BYTES) + 3; count++) {
    fanOut.publish(chunk());
    readAll(reading);
  }

  let kept = 0;
  const readToTheEnd = () => {
    for (;;) {
      const event = slow.next();
      if (event?.kind === "output") kept += event.output.size;
    }
  };

  expect(readToTheEnd).toThrow(`${3 * CHUNK} bytes behind`);
  expect(kept).toBe(GIVE_UP_ABOVE_BYTES);
});

test("the end reaches every viewer after all output, and is the last event", () => {
  const fanOut = new FanOut(() => {});
  const viewer = fanOut.subscribe();
  fanOut.publish(chunk());

  fanOut.end({ kind: "end", end: describeExit(0) });
  viewer.push({ kind: "output", output: chunk() });

  expect([viewer.next()?.kind, viewer.next()?.kind, viewer.next()]).toEqual([
    "output",
    "end",
    undefined,
  ]);
});

test("a viewer that leaves releases a process it held up", () => {
  const resume = vi.fn();
  const fanOut = new FanOut(resume);
  const viewer = fanOut.subscribe();
  while (fanOut.publish(chunk()));

  viewer.close();

  expect(resume).toHaveBeenCalledTimes(1);
  expect(viewer.next()).toBeUndefined();
});

test("a new viewer is not held up by one that stopped before it came", () => {
  const resume = vi.fn();
  const fanOut = new FanOut(resume);
  fanOut.subscribe();
  while (fanOut.publish(chunk()));

  const viewer = fanOut.subscribe();

  expect(resume).toHaveBeenCalledTimes(1);
  expect(fanOut.publish(chunk())).toBe(true);
  expect(readAll(viewer)).toBe(CHUNK);
});

test("a viewer that failed sees what waits, then the failure, and no end", async () => {
  const { AgentError } = await import("../../../src/errors.ts");
  const fanOut = new FanOut(() => {});
  const viewer = fanOut.subscribe();
  fanOut.publish(chunk());

  viewer.fail(new AgentError("deadline", "too late"));
  fanOut.end({ kind: "end", end: describeExit(9) });

  expect(viewer.next()?.kind).toBe("output");
  expect(() => viewer.next()).toThrow("too late");
});

test("a viewer that does not read holds little more than the bytes, however small the pieces", () => {
  const pieces = 500_000;
  const fanOut = new FanOut(() => {});
  const stopped = fanOut.subscribe();
  const reading = fanOut.subscribe();
  const kindOf = (index: number) => (index < pieces / 2 ? "stdout" : "stderr");
  const before = process.memoryUsage();

  for (let index = 0; index < pieces; index += 1) {
    const output = new Output(kindOf(index), Buffer.from([index % 251]));
    fanOut.publish(output);
    output.release();
    readAll(reading);
  }

  const after = process.memoryUsage();
  const grown = after.heapUsed - before.heapUsed + after.arrayBuffers - before.arrayBuffers;
  expect(grown / 1024 / 1024).toBeLessThan(64);
  expect(stopped.waitingBytes).toBe(pieces);
  let read = 0;
  for (let event = stopped.next(); event !== undefined; event = stopped.next()) {
    if (event.kind !== "output") throw new Error(event.kind);
    const { bytes, kind, size } = event.output;
    expect(size).toBeLessThanOrEqual(CHUNK);
    const isRight = bytes.every((byte, at) => byte === (read + at) % 251);
    expect([isRight, kind]).toEqual([true, kindOf(read)]);
    read += size;
  }
  expect(read).toBe(pieces);
  expect(stopped.waitingBytes).toBe(0);
});

test("pieces that cannot be put together hold the process up, or give the viewer up, by their number", () => {
  const fanOut = new FanOut(() => {});
  const stopped = fanOut.subscribe();
  let pieces = 0;
  const publish = () => {
    pieces += 1;
    const output = new Output(pieces % 2 === 0 ? "stdout" : "stderr", new Uint8Array(1));
    const isMoreWanted = fanOut.publish(output);
    output.release();
    return isMoreWanted;
  };

  for (let more = 0; more < 20_000 && publish(); more += 1);
  expect(pieces).toBeLessThan(10_000);

  const reading = fanOut.subscribe();
  for (let more = 0; !stopped.isGivenUp && more < 100_000; more += 1) {
    publish();
    readAll(reading);
  }
  expect(stopped.isGivenUp).toBe(true);
  expect(readAll.bind(undefined, stopped)).toThrow("1 bytes behind");
});
