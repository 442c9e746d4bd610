import { once } from "node:events";
import { existsSync, readFileSync } from "node:fs";
import {
  type ClientHttp2Session,
  type ClientHttp2Stream,
  connect,
  constants,
  type IncomingHttpHeaders,
  type OutgoingHttpHeaders,
} from "node:http2";
import { gunzipSync, gzipSync } from "node:zlib";
import { create, fromBinary, type MessageInitShape, toBinary } from "@bufbuild/protobuf";
import { describe, expect, vi } from "vitest";
import {
  CloseStdinRequestSchema,
  ListResponseSchema,
  Signal,
  StartRequestSchema,
  StartResponseSchema,
  StreamInputRequestSchema,
} from "../../gen/process/process_pb.js";
import { test as base, type TestAgent } from "../helpers/agent.ts";
import { shell, text } from "../helpers/process.ts";

const COMPRESSED = 0x01;
const END = 0x02;

/** One frame of a Connect stream. */
interface Frame {
  flags: number;
  payload: Buffer;
}

/** A frame as it goes over the wire: flags, length, payload. */
function frame(payload: Uint8Array, flags = 0): Buffer {
  const head = Buffer.alloc(5);
  head.writeUInt8(flags, 0);
  head.writeUInt32BE(payload.length, 1);
  return Buffer.concat([head, payload]);
}

function startFrame(request: MessageInitShape<typeof StartRequestSchema>): Buffer {
  return frame(toBinary(StartRequestSchema, create(StartRequestSchema, request)));
}

/** Takes the frames off what has come; whatever is left is the beginning of the next. */
async function* framesOf(stream: ClientHttp2Stream): AsyncGenerator<Frame> {
  let pending = Buffer.alloc(0);
  for await (const chunk of stream as AsyncIterable<Buffer>) {
    pending = Buffer.concat([pending, chunk]);
    while (pending.length >= 5 && pending.length >= 5 + pending.readUInt32BE(1)) {
      const end = 5 + pending.readUInt32BE(1);
      yield { flags: pending.readUInt8(0), payload: pending.subarray(5, end) };
      pending = pending.subarray(end);
    }
  }
  expect(pending.length, "bytes after the last frame").toBe(0);
}

async function allOf(frames: AsyncIterable<Frame>): Promise<Frame[]> {
  const all: Frame[] = [];
  for await (const frame of frames) all.push(frame);
  return all;
}

function eventOf({ payload }: Frame) {
  const { event } = fromBinary(StartResponseSchema, payload);
  if (event === undefined) throw new Error("a message without an event");
  return event.event;
}

/** How much processor time `pid` has used, in the kernel's ticks. */
function cpuTicks(pid: number): number {
  const fields = readFileSync(`/proc/${pid}/stat`, "utf8").split(") ")[1]?.split(" ") ?? [];
  return Number(fields[11]) + Number(fields[12]);
}

async function headersOf(stream: ClientHttp2Stream): Promise<IncomingHttpHeaders> {
  const [headers] = (await once(stream, "response")) as [IncomingHttpHeaders];
  return headers;
}

/** A session of HTTP/2 by prior knowledge, and the calls that are made over it by hand. */
class RawClient implements Disposable {
  readonly session: ClientHttp2Session;

  constructor(agent: Pick<TestAgent, "url">) {
    this.session = connect(agent.url);
  }

  call(method: string, headers: OutgoingHttpHeaders = {}): ClientHttp2Stream {
    const stream = this.session.request({
      ":method": "POST",
      ":path": `/process.Process/${method}`,
      "content-type": "application/connect+proto",
      "connect-protocol-version": "1",
      ...headers,
    });
    stream.on("error", () => {});
    return stream;
  }

  async unary(method: string, body: Uint8Array = Buffer.alloc(0)) {
    const stream = this.call(method, { "content-type": "application/proto" });
    stream.end(body);
    const { ":status": status } = await headersOf(stream);
    const chunks: Buffer[] = [];
    for await (const chunk of stream as AsyncIterable<Buffer>) chunks.push(chunk);
    return { status: Number(status), body: Buffer.concat(chunks) };
  }

  async pids(): Promise<number[]> {
    const { body } = await this.unary("List");
    return fromBinary(ListResponseSchema, body).processes.map(({ pid }) => pid);
  }

  [Symbol.dispose](): void {
    this.session.destroy();
  }
}

const test = base.extend<{ client: RawClient }>({
  client: async ({ agent }, use) => {
    using client = new RawClient(agent);
    await use(client);
  },
});

describe("a raw client of binary frames over HTTP/2", () => {
  test("gets start, output, end and one end frame", async ({ client }) => {
    const stream = client.call("Start");
    stream.end(startFrame(shell("printf hello; exit 3")));

    const headers = await headersOf(stream);
    const frames = await allOf(framesOf(stream));

    expect(headers[":status"]).toBe(200);
    expect(headers["content-type"]).toBe("application/connect+proto");
    expect(headers["connect-content-encoding"]).toBeUndefined();
    expect(frames.map(({ flags }) => flags)).toEqual([...frames.slice(1).map(() => 0), END]);
    expect(JSON.parse(String(frames.at(-1)?.payload))).toEqual({});
    const events = frames.slice(0, -1).map(eventOf);
    expect(events[0]?.case).toBe("start");
    expect(text(events, "stdout")).toBe("hello");
    expect(events.at(-1)).toMatchObject({ case: "end", value: { exitCode: 3, exited: true } });
  });

  test("may send its frame byte by byte", async ({ client }) => {
    const stream = client.call("Start");
    for (const byte of startFrame(shell("echo byte by byte"))) {
      await new Promise<void>((sent) => stream.write(Buffer.of(byte), () => sent()));
    }
    stream.end();

    const frames = await allOf(framesOf(stream));

    const events = frames.filter(({ flags }) => flags !== END).map(eventOf);
    expect(text(events, "stdout")).toBe("byte by byte\n");
  });

  test("may compress its frame with gzip, and need not take compressed ones", async ({
    client,
  }) => {
    const request = create(StartRequestSchema, shell("echo inflated"));
    const stream = client.call("Start", { "connect-content-encoding": "gzip" });
    stream.end(frame(gzipSync(toBinary(StartRequestSchema, request)), COMPRESSED));

    const frames = await allOf(framesOf(stream));

    expect(frames.every(({ flags }) => (flags & COMPRESSED) === 0)).toBe(true);
    const events = frames.filter(({ flags }) => flags !== END).map(eventOf);
    expect(text(events, "stdout")).toBe("inflated\n");
  });

  test("that offers gzip can read every frame, compressed or not", async ({ client }) => {
    const stream = client.call("Start", { "connect-accept-encoding": "gzip" });
    stream.end(startFrame(shell("head -c 100000 /dev/zero")));

    const headers = await headersOf(stream);
    const frames = await allOf(framesOf(stream));

    const compressed = frames.filter(({ flags }) => (flags & COMPRESSED) !== 0);
    if (compressed.length > 0) expect(headers["connect-content-encoding"]).toBe("gzip");
    const events = frames
      .filter(({ flags }) => (flags & END) === 0)
      .map(({ flags, payload }) =>
        eventOf({ flags, payload: flags & COMPRESSED ? gunzipSync(payload) : payload }),
      );
    expect(text(events, "stdout").length).toBe(100_000);
  });

  test("gets the headers of a silent stream at once", async ({ client }) => {
    const stream = client.call("Start");
    stream.end(startFrame(shell("exec sleep 60")));

    const headers = await headersOf(stream);

    expect(headers[":status"]).toBe(200);
    stream.close(constants.NGHTTP2_CANCEL);
  });

  test.for([
    ["a flag that nobody knows", frame(Buffer.alloc(0), 0x80)],
    ["a frame that ends too early", startFrame(shell("true")).subarray(0, 7)],
    ["no frame at all", Buffer.alloc(0)],
    ["two frames", Buffer.concat([startFrame(shell("true")), startFrame(shell("true"))])],
    ["a compressed frame that was not announced", frame(gzipSync(""), COMPRESSED)],
    ["bytes that are no message", frame(Buffer.of(0xff, 0xff, 0xff))],
  ] as const)("%s ends the stream with an error", async ([, body], { client }) => {
    const stream = client.call("Start");
    stream.end(body);

    const headers = await headersOf(stream);
    const frames = await allOf(framesOf(stream));

    expect(headers[":status"]).toBe(200);
    const last = frames.at(-1);
    expect(last?.flags).toBe(END);
    const { error } = JSON.parse(String(last?.payload)) as { error?: { code: string } };
    expect(error?.code).toMatch(/^(invalid_argument|internal|unimplemented)$/);
  });

  test("learns which codings are known when it sends another", async ({ client }) => {
    const stream = client.call("Start", { "connect-content-encoding": "zstd" });
    stream.end(startFrame(shell("true")));

    const frames = await allOf(framesOf(stream));

    expect(JSON.parse(String(frames.at(-1)?.payload))).toMatchObject({
      error: { code: "unimplemented", message: expect.stringContaining("gzip") as string },
    });
  });

  test("streams input frame by frame", async ({ client }) => {
    const output = client.call("Start");
    output.end(startFrame({ process: { cmd: "cat" }, tag: "cat" }));
    await headersOf(output);
    const cat = { selector: { case: "tag" as const, value: "cat" } };
    const stdin = (words: string): MessageInitShape<typeof StreamInputRequestSchema> => {
      const input = { case: "stdin" as const, value: Buffer.from(words) };
      return { event: { case: "data", value: { input: { input } } } };
    };
    const input = client.call("StreamInput");
    const messages: MessageInitShape<typeof StreamInputRequestSchema>[] = [
      { event: { case: "start", value: { process: cat } } },
      stdin("one "),
      { event: { case: "keepalive", value: {} } },
      stdin("two"),
    ];
    for (const init of messages) {
      const message = create(StreamInputRequestSchema, init);
      input.write(frame(toBinary(StreamInputRequestSchema, message)));
    }
    input.end();

    const answers = await allOf(framesOf(input));
    await client.unary(
      "CloseStdin",
      toBinary(
        CloseStdinRequestSchema,
        create(CloseStdinRequestSchema, { process: { selector: { case: "tag", value: "cat" } } }),
      ),
    );
    const events = (await allOf(framesOf(output)))
      .filter(({ flags }) => flags !== END)
      .map(eventOf);

    expect(answers.map(({ flags }) => flags)).toEqual([0, END]);
    expect(text(events, "stdout")).toBe("one two");
  });
});

describe("a stream that its client resets", () => {
  test("leaves the program alive and its viewer gone", async ({ agent, client }) => {
    const stream = client.call("Start");
    stream.end(startFrame(shell("while read -r line; do echo $line; done")));
    const frames = framesOf(stream);
    const first = await frames.next();
    const event = eventOf(first.value as Frame);
    if (event.case !== "start") throw new Error("no start");
    const { pid } = event.value;

    stream.close(constants.NGHTTP2_CANCEL);
    await once(stream, "close");

    const second = agent.process("h2-proto");
    const selector = { selector: { case: "pid" as const, value: pid } };
    const viewer = second.connect({ process: selector })[Symbol.asyncIterator]();
    expect((await viewer.next()).value?.event?.event.case).toBe("start");
    await second.sendInput({
      process: selector,
      input: { input: { case: "stdin", value: Buffer.from("alive\n") } },
    });
    const data = (await viewer.next()).value?.event?.event;
    expect(text(data === undefined ? [] : [data], "stdout")).toBe("alive\n");
    expect(existsSync(`/proc/${pid}`)).toBe(true);
    await second.sendSignal({ process: selector, signal: Signal.SIGKILL });
    await viewer.return?.(undefined);
  });

  test("does not slow a program that writes without end", async ({ agent, client }) => {
    const stream = client.call("Start");
    stream.end(startFrame(shell("echo $$; exec yes")));
    const frames = framesOf(stream);
    await frames.next();

    stream.close(constants.NGHTTP2_CANCEL);
    await once(stream, "close");

    const [pid = 0] = await client.pids();
    const ticks = () => cpuTicks(pid);
    const before = ticks();
    await vi.waitFor(() => expect(ticks()).toBeGreaterThan(before + 5), { timeout: 10_000 });
    await agent.process().sendSignal({
      process: { selector: { case: "pid", value: pid } },
      signal: Signal.SIGKILL,
    });
  });

  test("in the middle of its request starts nothing", async ({ client }) => {
    const stream = client.call("Start");
    stream.write(startFrame(shell("exec sleep 60")).subarray(0, 9));
    await once(client.session, "remoteSettings").catch(() => {});
    stream.close(constants.NGHTTP2_CANCEL);
    await once(stream, "close");

    await expect(client.pids()).resolves.toEqual([]);
  });
});
