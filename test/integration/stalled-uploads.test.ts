import { once } from "node:events";
import { existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { connect as connectHttp2 } from "node:http2";
import { join } from "node:path";
import { create, type MessageInitShape, toBinary } from "@bufbuild/protobuf";
import { describe, expect, vi } from "vitest";
import { StreamInputRequestSchema } from "../../gen/process/process_pb.js";
import { type TestAgent, test } from "../helpers/agent.ts";
import { running, shell } from "../helpers/process.ts";
import { frame } from "../helpers/raw-rpc.ts";
import { rawSocket } from "../helpers/raw-socket.ts";
import { filesPath, type HttpVersion, httpVersions } from "../helpers/requests.ts";

const STALL_MS = 500;
/** The machine may be busy; a stalled peer that is not found stays for good. */
const WITHIN = { timeout: 10_000, interval: 20 };

test.override({ config: { stallTimeoutMs: STALL_MS } });

/** A request whose body a test sends piece by piece, on a connection of its own. */
interface Sender extends Disposable {
  send(bytes: Uint8Array | string): void;
  end(bytes?: Uint8Array | string): void;
  /** Resolves when the agent has cut it off, or answered, with what it said. */
  ended: Promise<string>;
}

async function open(
  version: HttpVersion,
  agent: TestAgent,
  path: string,
  headers: Record<string, string | number>,
): Promise<Sender> {
  return version === "h1" ? openHttp1(agent, path, headers) : openHttp2(agent, path, headers);
}

async function openHttp1(
  agent: TestAgent,
  path: string,
  headers: Record<string, string | number>,
): Promise<Sender> {
  const { socket, closed } = await rawSocket(agent.port);
  const lines = Object.entries(headers).map(([name, value]) => `${name}: ${value}\r\n`);
  socket.write(`POST ${path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n${lines.join("")}\r\n`);
  return {
    send: (bytes) => void socket.write(bytes),
    end: (bytes) => void socket.write(bytes ?? ""),
    ended: closed,
    [Symbol.dispose]: () => socket.destroy(),
  };
}

async function openHttp2(
  agent: TestAgent,
  path: string,
  headers: Record<string, string | number>,
): Promise<Sender> {
  const session = connectHttp2(agent.url);
  session.on("error", () => {});
  const stream = session.request({ ":method": "POST", ":path": path, ...headers });
  let text = "";
  stream.on("error", () => {}).on("data", (bytes: Buffer) => (text += bytes.toString()));
  stream.on("response", ({ ":status": status }) => (text = `HTTP ${status} ${text}`));
  await once(session, "connect");
  return {
    send: (bytes) => void stream.write(bytes),
    end: (bytes) => void stream.end(bytes),
    ended: new Promise((resolve) => stream.once("close", () => resolve(text))),
    [Symbol.dispose]: () => session.destroy(),
  };
}

/** Every entry of the agent's directory, so that nothing staged is overlooked. */
const entries = (agent: TestAgent) => readdirSync(join(agent.directory, "files")).toSorted();

const RAW = { "content-type": "application/octet-stream" };

describe.for(httpVersions)("an upload over %s", (version) => {
  test("that stops in the middle is cut off, and leaves the old file, unlocked", async ({
    agent,
  }) => {
    mkdirSync(join(agent.directory, "files"));
    const target = join(agent.directory, "files", "target");
    writeFileSync(target, "old");
    const path = filesPath({ path: target });
    using stopped = await open(version, agent, path, { ...RAW, "content-length": 1_000 });
    const start = performance.now();

    stopped.send("half of it");
    await stopped.ended;

    expect(performance.now() - start).toBeGreaterThan(STALL_MS * 0.9);
    using next = await open(version, agent, path, { ...RAW, "content-length": 3 });
    next.end("new");
    expect(await next.ended).toContain("200");
    expect(readFileSync(target, "utf8")).toBe("new");
    expect(entries(agent)).toEqual(["target"]);
  });

  test("that is packed, or in a form, and stops is cut off as well", async ({ agent }) => {
    const path = filesPath({ path: join(agent.directory, "packed") });
    const gzipped = { ...RAW, "content-encoding": "gzip", "content-length": 1_000 };
    using packed = await open(version, agent, path, gzipped);
    packed.send(Buffer.of(0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 3));
    const multipart = {
      "content-type": "multipart/form-data; boundary=b",
      "content-length": 1_000,
    };
    using form = await open(version, agent, path, multipart);
    form.send('--b\r\nContent-Disposition: form-data; name="file"; filename="x"\r\n\r\nhalf');

    await Promise.all([packed.ended, form.ended]);

    const isThere = () => existsSync(join(agent.directory, "packed"));
    await vi.waitFor(() => expect(isThere()).toBe(false), WITHIN);
  });

  test("that brings a byte now and then goes on for as long as it takes", async ({ agent }) => {
    const target = join(agent.directory, "slow");
    const headers = { ...RAW, "content-length": 12 };
    using slow = await open(version, agent, filesPath({ path: target }), headers);
    const start = performance.now();

    for (let sent = 0; sent < 11; sent++) {
      slow.send("x");
      const until = performance.now() + STALL_MS * 0.4;
      await vi.waitFor(() => expect(performance.now()).toBeGreaterThan(until), WITHIN);
    }
    slow.end("x");

    expect(await slow.ended).toContain("200");
    expect(performance.now() - start).toBeGreaterThan(3 * STALL_MS);
    expect(readFileSync(target, "utf8")).toBe("x".repeat(12));
  });

  test("is cut off sooner when it asks for that, and never later", async ({ agent }) => {
    const path = filesPath({ path: join(agent.directory, "asked") });
    const head = { ...RAW, "content-length": 1_000 };
    const start = performance.now();
    using sooner = await open(version, agent, path, { ...head, "stall-timeout-ms": 100 });
    using later = await open(version, agent, path, { ...head, "stall-timeout-ms": 3_600_000 });
    const sinceStart = () => performance.now() - start;

    const [first, second] = await Promise.all([
      sooner.ended.then(sinceStart),
      later.ended.then(sinceStart),
    ]);

    expect(first).toBeGreaterThan(90);
    expect(second).toBeGreaterThan(STALL_MS * 0.9);
    expect(first).toBeLessThan(second);
  });

  test.for(["soon", "-1", "99", "1.5", "12345678901"])(
    "that asks for a stall time of %s is told what would do",
    async (value, { agent }) => {
      const path = filesPath({ path: join(agent.directory, "told") });
      const headers = { ...RAW, "content-length": 1, "stall-timeout-ms": value };
      using asking = await open(version, agent, path, headers);

      asking.end("x");

      const answer = await asking.ended;
      expect(answer).toContain("400");
      expect(answer).toContain(
        `Stall-Timeout-Ms: \\"${value}\\" is not a whole number of milliseconds from 100`,
      );
    },
  );

  test.for([
    ["an RPC", "/process.Process/List", "application/json", '{"half'],
    ["a stream", "/process.Process/Start", "application/connect+proto", "\0\0\0\0\x09abc"],
    ["/init", "/init", "application/json", '{"half'],
  ] as const)(
    "of the request of %s that stops is cut off",
    async ([, path, type, half], { agent }) => {
      const headers = { "content-type": type, "content-length": 1_000 };
      using stopped = await open(version, agent, path, headers);

      stopped.send(half);

      await stopped.ended;
      stopped[Symbol.dispose]();
      await vi.waitFor(() => expect(agent.connections()).toBe(0), WITHIN);
    },
  );

  test("that nobody reads, because it was answered, does not hold its connection", async ({
    agent,
  }) => {
    using answered = await open(version, agent, "/nowhere", { ...RAW, "content-length": 1_000 });
    answered.send("half of it");

    await answered.ended;
    answered[Symbol.dispose]();
    await vi.waitFor(() => expect(agent.connections()).toBe(0), WITHIN);
  });
});

describe.for(httpVersions)("input that is streamed over %s", (version) => {
  const message = (request: MessageInitShape<typeof StreamInputRequestSchema>) =>
    frame(toBinary(StreamInputRequestSchema, create(StreamInputRequestSchema, request)));

  test("may be silent between two messages, and not in the middle of one", async ({ agent }) => {
    const cat = await running(agent.process(), shell("exec cat"));
    const headers = { "content-type": "application/connect+proto" };
    const chunked = version === "h1" ? { ...headers, "transfer-encoding": "chunked" } : headers;
    using input = await open(version, agent, "/process.Process/StreamInput", chunked);
    const send = (bytes: Buffer) => {
      const size = `${bytes.length.toString(16)}\r\n`;
      if (version === "h2") input.send(bytes);
      else input.send(Buffer.concat([Buffer.from(size), bytes, Buffer.from("\r\n")]));
    };
    let hasEnded = false;
    void input.ended.then(() => (hasEnded = true));
    const start = message({ event: { case: "start", value: { process: cat.selector } } });
    send(start);

    const until = performance.now() + 4 * STALL_MS;
    await vi.waitFor(() => expect(performance.now()).toBeGreaterThan(until), WITHIN);
    expect(hasEnded).toBe(false);

    send(start.subarray(0, 7));
    await input.ended;
    process.kill(cat.pid, "SIGKILL");
    await cat.rest();
  });
});
