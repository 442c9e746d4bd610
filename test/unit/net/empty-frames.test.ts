import { EventEmitter } from "node:events";
import type { ServerHttp2Stream } from "node:http2";
import { expect, test } from "vitest";
import { EmptyFrames } from "../../../src/net/empty-frames.ts";

const MIB = 1024 * 1024;

function stream(endAfterHeaders: boolean): ServerHttp2Stream {
  return Object.assign(new EventEmitter(), { endAfterHeaders }) as unknown as ServerHttp2Stream;
}

/** Looks at frames of which so much has come, and been taken, since the last look. */
function looked(frames: EmptyFrames) {
  const traffic = { receivedBytes: 0, acknowledgedBytes: 0 };
  return (received: number, acknowledged = 0): boolean => {
    traffic.receivedBytes += received;
    traffic.acknowledgedBytes += acknowledged;
    return frames.isFlood({ ...traffic });
  };
}

test("more than 8 MiB between two looks is a flood, less is none for ever", () => {
  const look = looked(new EmptyFrames());

  for (let round = 0; round < 100; round++) expect(look(8 * MIB)).toBe(false);
  expect(look(8 * MIB + 1)).toBe(true);
});

test("windows that are opened for what was sent are none", () => {
  const look = looked(new EmptyFrames());

  expect(look(100 * MIB, 20 * MIB)).toBe(false);
  expect(look(100 * MIB, 10 * MIB)).toBe(true);
});

test("requests are none, and count once", () => {
  const frames = new EmptyFrames();
  const look = looked(frames);
  for (let request = 0; request < 1_000; request++) frames.add(stream(true));

  expect(look(20 * MIB)).toBe(false);
  expect(look(20 * MIB)).toBe(true);
});

test("nothing is said while a body comes, whether it was read or given up", () => {
  const frames = new EmptyFrames();
  const look = looked(frames);
  const [read, lost] = [stream(false), stream(false)];
  frames.add(read);
  frames.add(lost);

  expect(look(900 * MIB)).toBe(false);
  read.emit("end");
  read.emit("close");
  expect(look(900 * MIB)).toBe(false);
  lost.emit("close");
  expect(look(900 * MIB)).toBe(false);
  expect(look(900 * MIB)).toBe(true);
});
