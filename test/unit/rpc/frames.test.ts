import { create, fromBinary, toBinary, toJsonString } from "@bufbuild/protobuf";
import * as fc from "fast-check";
import { expect, test } from "vitest";
import { ConnectResponseSchema, StartResponseSchema } from "../../../gen/process/process_pb.js";
import { Output, type OutputKind } from "../../../src/process/output.ts";
import { outputFrame } from "../../../src/rpc/frames.ts";

const kinds: OutputKind[] = ["stdout", "stderr", "pty"];

function codecFrame(kind: OutputKind, value: Uint8Array, codec: "proto" | "json"): Buffer {
  const event = { event: { case: "data", value: { output: { case: kind, value } } } } as const;
  const start = create(StartResponseSchema, { event });
  const connect = create(ConnectResponseSchema, { event });
  expect(toBinary(ConnectResponseSchema, connect)).toEqual(toBinary(StartResponseSchema, start));
  const message =
    codec === "proto"
      ? toBinary(StartResponseSchema, start)
      : Buffer.from(toJsonString(StartResponseSchema, start));
  const head = Buffer.alloc(5);
  head.writeUInt32BE(message.length, 1);
  return Buffer.concat([head, message]);
}

test.for(["proto", "json"] as const)("a %s output frame is what the codec would send", (codec) => {
  const anyOutput = fc.tuple(
    fc.constantFrom(...kinds),
    fc.uint8Array({ minLength: 1, maxLength: 400 }),
  );
  fc.assert(
    fc.property(anyOutput, ([kind, bytes]) => {
      const frame = Buffer.from(outputFrame(new Output(kind, bytes), codec));
      expect(frame.equals(codecFrame(kind, bytes, codec))).toBe(true);
    }),
  );
});

test.for([1, 2, 3, 119, 120, 121, 127, 128, 16_370, 16_383, 16_384, 32_766, 32_767, 32_768])(
  "a frame of %i bytes is what the codec would send",
  (size) => {
    const bytes = Buffer.alloc(size, "payload ");
    for (const codec of ["proto", "json"] as const) {
      const frame = Buffer.from(outputFrame(new Output("pty", bytes), codec));
      expect(frame.equals(codecFrame("pty", bytes, codec))).toBe(true);
    }
  },
);

test("a frame is made once for all viewers", () => {
  const output = new Output("stdout", Buffer.from("shared"));

  expect(outputFrame(output, "json")).toBe(outputFrame(output, "json"));
  expect(outputFrame(output, "proto")).toBe(outputFrame(output, "proto"));
});

test.for([0, 1, 127, 128, 2 ** 32, Number.MAX_SAFE_INTEGER])(
  "a frame with offset %d is read as what the codec would send",
  (offset) => {
    const value = Buffer.from("bytes");
    const output = { case: "stderr", value } as const;
    const data = { case: "data", value: { output, offset: BigInt(offset) } } as const;
    const message = create(StartResponseSchema, { event: { event: data } });

    const binary = outputFrame(new Output("stderr", value, offset), "proto");
    const json = outputFrame(new Output("stderr", value, offset), "json");

    expect(Buffer.from(binary).readUInt32BE(1)).toBe(binary.length - 5);
    const read = fromBinary(StartResponseSchema, Uint8Array.from(binary.subarray(5)));
    expect(toJsonString(StartResponseSchema, read)).toBe(
      toJsonString(StartResponseSchema, message),
    );
    expect(Buffer.from(json.subarray(5)).toString()).toBe(
      toJsonString(StartResponseSchema, message),
    );
  },
);
