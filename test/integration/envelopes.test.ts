import { create, type DescMethod, type Message, toBinary, toJsonString } from "@bufbuild/protobuf";
import * as fc from "fast-check";
import { describe, expect, vi } from "vitest";
import { Filesystem, WatchDirRequestSchema } from "../../gen/filesystem/filesystem_pb.js";
import {
  ConnectRequestSchema,
  Process,
  StartRequestSchema,
  StreamInputRequestSchema,
} from "../../gen/process/process_pb.js";
import { test } from "../helpers/agent.ts";
import { type Codec, callInPieces, codecs, frame } from "../helpers/raw-rpc.ts";
import { httpVersions } from "../helpers/requests.ts";

/** Streams begun by accident end by themselves. */
const DEADLINE_MS = 500;
/** Within which everything is answered. */
const BOUND_MS = 5_000;
const RUNS = 40;

const none = { selector: { case: "tag", value: "none" } } as const;
const keepalive = create(StreamInputRequestSchema, { event: { case: "keepalive", value: {} } });
const selection = create(StreamInputRequestSchema, {
  event: { case: "start", value: { process: none } },
});

/** Each RPC that takes frames, with messages that are understood and what comes of them. */
const calls: [string, DescMethod, Message[], string][] = [
  [
    "Start",
    Process.method.start,
    [create(StartRequestSchema, { process: { cmd: "true" }, stdin: false })],
    "ok",
  ],
  [
    "Connect",
    Process.method.connect,
    [create(ConnectRequestSchema, { process: none })],
    "not_found",
  ],
  ["StreamInput", Process.method.streamInput, [keepalive, keepalive, selection], "not_found"],
  [
    "WatchDir",
    Filesystem.method.watchDir,
    [create(WatchDirRequestSchema, { path: "/none/at/all" })],
    "not_found",
  ],
];

function bodyOf(method: DescMethod, messages: Message[], codec: Codec): Buffer {
  const encode = (message: Message) =>
    codec === "proto"
      ? toBinary(method.input, message)
      : Buffer.from(toJsonString(method.input, message));
  return Buffer.concat(messages.map((message) => frame(encode(message))));
}

/** `body` cut at these places, each a share of its length; pieces may be empty. */
function cut(body: Buffer, shares: readonly number[]): Buffer[] {
  const places = shares.map((share) => Math.floor(share * body.length)).toSorted((a, b) => a - b);
  return [0, ...places].map((from, index) => body.subarray(from, places[index] ?? body.length));
}

const share = fc.double({ min: 0, max: 1, noNaN: true });
const cuts = fc.oneof(
  fc.array(share, { maxLength: 12 }),
  // One byte each.
  fc.constant(Array.from({ length: 200 }, (_, index) => index / 200)),
);

/** What may have become of a body on its way. */
function damaged(body: Buffer): fc.Arbitrary<Buffer> {
  const flips = fc.array(fc.tuple(share, fc.nat(255)), { minLength: 1, maxLength: 4 });
  return fc.oneof(
    fc.uint8Array({ maxLength: 64 }).map((bytes) => Buffer.from(bytes)),
    share.map((part) => body.subarray(0, Math.floor(part * body.length))),
    fc.uint8Array({ minLength: 1, maxLength: 32 }).map((more) => Buffer.concat([body, more])),
    flips.map((all) => {
      const copy = Buffer.from(body);
      for (const [at, value] of all) copy[Math.floor(at * (copy.length - 1))] = value;
      return copy;
    }),
    fc.nat(255).map((flags) => Buffer.concat([Buffer.of(flags), body.subarray(1)])),
  );
}

describe.for(httpVersions)("over %s", (version) => {
  describe.for(calls)("the frames of %s", ([, method, messages, expected]) => {
    test.for(codecs)("in %s mean the same however they are cut", async (codec, { agent }) => {
      const body = bodyOf(method, messages, codec);
      const headers = { "connect-timeout-ms": String(10 * DEADLINE_MS) };

      await fc.assert(
        fc.asyncProperty(cuts, async (shares) => {
          const options = { codec, version, headers };
          const { code } = await callInPieces(agent.url, method, cut(body, shares), options);
          expect(code).toBe(expected);
        }),
        { numRuns: RUNS / 2 },
      );
    });

    test.for(codecs)(
      "in %s that were damaged are answered soon, the same however they are cut",
      async (codec, { agent }) => {
        const body = bodyOf(method, messages, codec);
        const headers = { "connect-timeout-ms": String(DEADLINE_MS) };
        const options = { codec, version, headers };

        await fc.assert(
          fc.asyncProperty(damaged(body), cuts, async (bytes, shares) => {
            const whole = await callInPieces(agent.url, method, [bytes], options);
            const inPieces = await callInPieces(agent.url, method, cut(bytes, shares), options);

            expect(whole.code).not.toBe("none");
            expect(inPieces.code).toBe(whole.code);
          }),
          { numRuns: RUNS, timeout: BOUND_MS },
        );
        expect((await fetch(`${agent.url}/health`)).status).toBe(204);
        await vi.waitFor(async () =>
          expect((await agent.process().list({})).processes).toEqual([]),
        );
      },
    );
  });
});
