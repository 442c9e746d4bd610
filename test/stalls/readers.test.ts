import { mkdtempSync, rmSync, truncateSync, writeFileSync } from "node:fs";
import { type IncomingMessage, request } from "node:http";
import { join } from "node:path";
import { create, toBinary } from "@bufbuild/protobuf";
import { afterAll, beforeAll, describe, expect, test, vi } from "vitest";
import { StartRequestSchema } from "../../gen/process/process_pb.js";
import { Binary } from "../helpers/binary.ts";
import { makeCertificate } from "../helpers/certificate.ts";
import { h2Request, PREFACE, settings, windowUpdate } from "../helpers/h2-frames.ts";
import { NarrowSocket } from "../helpers/narrow-socket.ts";
import { frame } from "../helpers/raw-rpc.ts";
import { filesPath, type HttpVersion, httpVersions } from "../helpers/requests.ts";
import {
  byHalves,
  byPages,
  CHROMIUM,
  readHttp2,
  readPlain,
  readTls,
  type SlowReader,
  type SlowReading,
} from "../helpers/slow-readers.ts";

const KIB = 1_024;
const BUFFER_BYTES = 4 * KIB;
const EACH = 25;

/** The long form is the promise; the short one keeps its proportions. */
const isLong = process.env["THAW_LONG"] === "1";
const { stallMs, bytesPerS, smallBytes, share } = isLong
  ? { stallMs: 10_000, bytesPerS: KIB, smallBytes: 48 * KIB, share: 0.9 }
  : { stallMs: 2_000, bytesPerS: 10 * KIB, smallBytes: 60 * KIB, share: 0.25 };
/** How long the healthy ones are measured at a time, in ms. */
const MEASURED_MS = isLong ? 5_000 : 1_000;
const OPEN_WINDOW = 0x7fff_ffff;

/** What a peer asks for: a file, a part of it, or a program's output. */
type Asked = { path: string; headers: Record<string, string>; body?: Buffer };

const directory = mkdtempSync("/dev/shm/thaw-stalls-");
const small = join(directory, "small");
const large = join(directory, "large");
let agent: Binary;
let port = 0;

beforeAll(async () => {
  writeFileSync(small, Buffer.alloc(smallBytes, "x"));
  writeFileSync(large, "");
  truncateSync(large, 1024 * KIB * KIB);
  // The long form shows what holds without any flag.
  const flags = isLong ? [] : ["--stall-timeout", `${stallMs}ms`];
  agent = await Binary.serve(["--no-token", ...flags]);
  port = Number(new URL(agent.url).port);
});
afterAll(async () => {
  await agent[Symbol.asyncDispose]();
  rmSync(directory, { recursive: true });
});

function ask(path: string, headers: Record<string, string> = {}): Asked {
  return { path: filesPath({ path }), headers };
}

function yes(): Asked {
  const message = create(StartRequestSchema, { process: { cmd: "yes" } });
  return {
    path: "/process.Process/Start",
    headers: { "content-type": "application/connect+proto" },
    body: frame(toBinary(StartRequestSchema, message)),
  };
}

/** A peer with a small receive buffer that has asked for something. */
function open(
  version: HttpVersion,
  asked: Asked,
  bufferBytes: number | undefined,
  to = port,
): NarrowSocket {
  const socket = new NarrowSocket(to, bufferBytes);
  socket.send(version === "h1" ? http1Request(asked) : http2Request(asked));
  return socket;
}

function http1Request({ path, headers, body }: Asked): Buffer {
  const all = { Host: "127.0.0.1", "Content-Length": body?.length ?? 0, ...headers };
  const lines = Object.entries(all).map(([name, value]) => `${name}: ${value}\r\n`);
  const head = `${body === undefined ? "GET" : "POST"} ${path} HTTP/1.1\r\n${lines.join("")}\r\n`;
  return Buffer.concat([Buffer.from(head), body ?? Buffer.alloc(0)]);
}

/** With windows so large that only reading counts. */
function http2Request({ path, headers, body }: Asked): Buffer {
  const fields = {
    ":method": body === undefined ? "GET" : "POST",
    ":path": path,
    ":authority": "127.0.0.1",
    ...headers,
  };
  const opened = [settings([[4, OPEN_WINDOW]]), windowUpdate(0, OPEN_WINDOW - 65_535)];
  return Buffer.concat([PREFACE, ...opened, h2Request(1, fields, body)]);
}

/** MiB/s that healthy downloads get for a while. */
async function healthyRate(): Promise<number> {
  let bytes = 0;
  const downloads = [1, 2].map(() => {
    const outgoing = request(`${agent.url}${filesPath({ path: large })}`, { agent: false });
    outgoing
      .on("error", () => {})
      .on("response", (response: IncomingMessage) => {
        response.on("error", () => {}).on("data", (chunk: Buffer) => (bytes += chunk.length));
      });
    return outgoing.end();
  });
  await vi.waitFor(() => expect(bytes).toBeGreaterThan(0));
  const start = performance.now();
  bytes = 0;
  await new Promise((resolve) => setTimeout(resolve, MEASURED_MS));
  const rate = bytes / (KIB * KIB) / ((performance.now() - start) / 1_000);
  for (const download of downloads) download.destroy();
  return rate;
}

/** The time from the last that came to `socket` until the agent has given it up, in ms. */
async function goneAfter(socket: NarrowSocket): Promise<number> {
  let last = performance.now();
  let unread = 0;
  const isGone = () => {
    if (!socket.isOpen) return true;
    // A buffer is filled to its brim by and by.
    if (socket.unreadBytes !== unread) last = performance.now();
    unread = socket.unreadBytes;
    return false;
  };
  await vi.waitFor(() => expect(isGone()).toBe(true), { timeout: 4 * stallMs, interval: 20 });
  return performance.now() - last;
}

const pick = <T>(from: readonly T[], index: number) => from[index % from.length] as T;

test(`${EACH} slow readers and ${EACH} that stop, beside healthy ones`, async () => {
  const alone = await healthyRate();
  const openedAt = performance.now();
  const stopping = Array.from({ length: EACH }, (_, index) => {
    const asked = pick([ask(large), ask(large, { range: "bytes=5-" }), yes()], index);
    return open(pick(httpVersions, index), asked, BUFFER_BYTES);
  });
  const slow = Array.from({ length: EACH }, (_, index) =>
    open(pick(httpVersions, index), ask(small, { "accept-encoding": "identity" }), BUFFER_BYTES),
  );
  for (const socket of slow) socket.start(bytesPerS);

  await vi.waitFor(() => expect(stopping.every(({ hasUnread }) => hasUnread)).toBe(true), 10_000);
  const openingMs = performance.now() - openedAt;
  const gone = Promise.all(stopping.map(goneAfter));
  const beside = await healthyRate();
  const times = await gone;
  const finished = () => slow.filter(({ receivedBytes }) => receivedBytes > smallBytes).length;
  await vi.waitFor(() => expect(finished()).toBe(EACH), { timeout: 100_000, interval: 100 });
  const after = await healthyRate();

  const ratio = beside / Math.max(alone, after);
  console.log(
    `healthy: ${alone.toFixed(0)}, beside ${beside.toFixed(0)}, after ${after.toFixed(0)} MiB/s; ` +
      `gone after ${Math.min(...times).toFixed(0)} to ${Math.max(...times).toFixed(0)} ms`,
  );
  for (const socket of [...slow, ...stopping]) socket[Symbol.dispose]();
  // They stopped some time while all were opened.
  expect(Math.min(...times) + openingMs).toBeGreaterThan(0.9 * stallMs);
  expect(Math.max(...times)).toBeLessThan((isLong ? 1.1 : 2) * stallMs);
  expect(ratio).toBeGreaterThan(share);
}, 180_000);

/** For how long the readers of the long form are watched, in ms. */
const WATCHED_MS = Number(process.env["THAW_STALLS_MS"] ?? 450_000);

if (!isLong) console.info("skipped: readers that are watched for minutes, for want of THAW_LONG=1");

type Start = (reading: SlowReading) => SlowReader;

const buffers = [4, 8, 32, 64, undefined, 256, 1024].map((kib) =>
  kib === undefined ? undefined : kib * KIB,
);

/** Who reads 1 KiB/s for as long as the long form takes. */
const READERS: readonly (readonly [name: string, start: Start])[] = [
  ...buffers.flatMap((bytes) => [
    [
      `over HTTP/1.1, with a buffer of ${bytes}`,
      (to: SlowReading) => readPlain(to, bytes),
    ] as const,
    [
      `over HTTP/2, with a buffer of ${bytes}`,
      (to: SlowReading) => {
        const reader = open("h2", { path: to.path, headers: {} }, bytes, to.port);
        reader.start(to.bytesPerS);
        return reader;
      },
    ] as const,
    [`over TLS, with a buffer of ${bytes}`, (to: SlowReading) => readTls(to, bytes)] as const,
  ]),
  ["over HTTP/2 as Node's client does", (to) => readHttp2(to, byHalves(64 * KIB))],
  ["over HTTP/2, windows of 256 KiB", (to) => readHttp2(to, byHalves(256 * KIB))],
  ["over HTTP/2 as Go's client does", (to) => readHttp2(to, byPages(4 * KIB * KIB))],
  ["over HTTP/2 as Chromium does", (to) => readHttp2(to, CHROMIUM)],
];

describe.runIf(isLong)("a reader of 1 KiB/s is never cut off", () => {
  let secure: Binary;
  beforeAll(async () => {
    const { cert, key } = makeCertificate();
    const files = [join(directory, "cert"), join(directory, "key")] as const;
    writeFileSync(files[0], cert);
    writeFileSync(files[1], key);
    secure = await Binary.serve(["--no-token", "--tls-cert", files[0], "--tls-key", files[1]]);
  });
  afterAll(() => secure[Symbol.asyncDispose]());

  test.concurrent.for(READERS)("%s", { timeout: WATCHED_MS + 60_000 }, async ([, start]) => {
    const to = { port: Number(new URL(secure.url).port), path: filesPath({ path: large }) };
    using reader = start({ ...to, bytesPerS: KIB });
    const end = performance.now() + WATCHED_MS;

    await vi.waitFor(
      () => {
        expect(reader.isOpen || performance.now() >= end).toBe(true);
        expect(performance.now()).toBeGreaterThan(end);
      },
      { timeout: WATCHED_MS + 30_000, interval: 500 },
    );

    expect(reader.isOpen).toBe(true);
  });
});
