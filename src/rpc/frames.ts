import { create, toBinary, toJsonString } from "@bufbuild/protobuf";
import { type ConnectError } from "@connectrpc/connect";
import { endStreamToJson } from "@connectrpc/connect/protocol-connect";
import { type ProcessEvent, StartResponseSchema } from "../../gen/process/process_pb.js";
import { HEADROOM_BYTES, type Output, type OutputKind } from "../process/output.ts";

/** How messages are written: the two codecs of the Connect protocol. */
export type Codec = "proto" | "json";

/** Flag of the last frame of a Connect stream. */
const END_STREAM = 0x02;
const ENVELOPE_BYTES = 5;

/** Field tags of the messages around output bytes: event=1, data=2, and the member of the oneof. */
const EVENT_TAG = 0x0a;
const DATA_TAG = 0x12;
const OUTPUT_TAGS: Record<OutputKind, number> = { stdout: 0x0a, stderr: 0x12, pty: 0x1a };

/** The field of the offset, of type varint: 1000 << 3. */
const OFFSET_TAG = 8_000;

/**
 * Output as one frame of a Start or Connect stream: the bytes the codec would have sent, but
 * without copying them and with the machine's own base64. Made once for all viewers.
 */
export function outputFrame(output: Output, codec: Codec): Uint8Array {
  if (codec === "proto") {
    output.frames.proto ??= binaryOutputFrame(output);
    return output.frames.proto;
  }
  output.frames.json ??= jsonOutputFrame(output);
  return output.frames.json;
}

/** Any other event as one frame. Start and Connect answer with the same message. */
export function eventFrame(event: ProcessEvent, codec: Codec): Uint8Array {
  const message = create(StartResponseSchema, { event });
  if (codec === "proto") return envelope(0, toBinary(StartResponseSchema, message));
  return envelope(0, Buffer.from(toJsonString(StartResponseSchema, message)));
}

/** The frame that ends a stream, with what went wrong if something did. */
export function endFrame(error?: ConnectError): Uint8Array {
  return envelope(
    END_STREAM,
    Buffer.from(JSON.stringify(endStreamToJson(new Headers(), error, {}))),
  );
}

function envelope(flags: number, message: Uint8Array): Buffer {
  const frame = Buffer.allocUnsafe(ENVELOPE_BYTES + message.length);
  frame[0] = flags;
  frame.writeUInt32BE(message.length, 1);
  frame.set(message, ENVELOPE_BYTES);
  return frame;
}

/** Writes the header right in front of the bytes, into the space they were read with. */
function binaryOutputFrame(output: Output): Uint8Array {
  const { storage, size } = output;
  let at = HEADROOM_BYTES;
  const prepend = (tag: number, length: number) => {
    at -= varintBytes(length);
    writeVarint(storage, at, length);
    at -= 1;
    storage[at] = tag;
  };
  prepend(OUTPUT_TAGS[output.kind], size);
  // Fields may come in any order, and in front of the bytes there is room.
  if (output.offset !== undefined) {
    at -= varintBytes(output.offset);
    writeVarint(storage, at, output.offset);
    at -= varintBytes(OFFSET_TAG);
    writeVarint(storage, at, OFFSET_TAG);
  }
  prepend(DATA_TAG, storage.length - at);
  prepend(EVENT_TAG, storage.length - at);
  const length = storage.length - at;
  at -= ENVELOPE_BYTES;
  storage[at] = 0;
  storage.writeUInt32BE(length, at + 1);
  return storage.subarray(at);
}

function varintBytes(value: number): number {
  let bytes = 1;
  for (let rest = value; rest >= 0x80; rest = Math.floor(rest / 0x80)) bytes += 1;
  return bytes;
}

/** Offsets are more than the 32 bits that shifts are good for. */
function writeVarint(into: Buffer, at: number, value: number): void {
  let rest = value;
  let index = at;
  for (; rest >= 0x80; rest = Math.floor(rest / 0x80)) into[index++] = (rest % 0x80) | 0x80;
  into[index] = rest;
}

function jsonOutputFrame(output: Output): Uint8Array {
  const prefix = `{"event":{"data":{"${output.kind}":"`;
  const suffix = output.offset === undefined ? '"}}}' : `","offset":"${output.offset}"}}}`;
  const base64Bytes = 4 * Math.ceil(output.size / 3);
  const length = prefix.length + base64Bytes + suffix.length;
  const frame = output.allocateText(ENVELOPE_BYTES + length);
  frame[0] = 0;
  frame.writeUInt32BE(length, 1);
  let at = ENVELOPE_BYTES;
  at += frame.write(prefix, at, "latin1");
  at += frame.write(output.bytes.toString("base64"), at, "latin1");
  frame.write(suffix, at, "latin1");
  return frame;
}
