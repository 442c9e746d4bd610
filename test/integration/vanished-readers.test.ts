import { once } from "node:events";
import { mkdirSync, truncateSync, writeFileSync } from "node:fs";
import { request as requestHttp1 } from "node:http";
import { connect as connectHttp2, constants } from "node:http2";
import { type AddressInfo, createServer, type Socket } from "node:net";
import { join } from "node:path";
import type { Readable, Writable } from "node:stream";
import { expect, onTestFinished, vi } from "vitest";
import { Signal } from "../../gen/process/process_pb.js";
import { leftovers, type TestAgent, test } from "../helpers/agent.ts";
import { running, shell } from "../helpers/process.ts";
import { frame } from "../helpers/raw-rpc.ts";
import type { HttpVersion } from "../helpers/requests.ts";
import { openFilesIn } from "../helpers/scratch.ts";

const IN_TIME = { timeout: 10_000, interval: 20 };
/** More than every buffer on the way together. */
const LARGE = 64 * 1024 * 1024;

/** A call whose answer begins, and is not read. */
interface Unread {
  /** Ways to be gone. */
  ways: Record<string, () => void>;
  /** How much has come. */
  receivedBytes: () => number;
}

interface Call {
  path: string;
  message: object;
  /** Default: as in Connect. */
  contentType?: string;
}

async function callHttp1({ url }: TestAgent, call: Call): Promise<Unread> {
  const outgoing = requestHttp1(`${url}${call.path}`, {
    method: "POST",
    headers: { "Content-Type": call.contentType ?? "application/connect+json" },
    agent: false,
  });
  outgoing.on("error", () => {});
  send(outgoing, call);
  const [answer] = (await once(outgoing, "response")) as [Readable & { socket: Socket }];
  await stopReading(answer);
  const { socket } = answer;
  const ways = {
    "resets its connection": () => socket.resetAndDestroy(),
    "closes its connection": () => socket.destroy(),
  };
  return { ways, receivedBytes: () => socket.bytesRead };
}

async function callHttp2({ url }: TestAgent, call: Call): Promise<Unread> {
  const session = connectHttp2(url);
  session.on("error", () => {});
  onTestFinished(() => session.destroy());
  const headers = { "content-type": call.contentType ?? "application/connect+json" };
  const stream = session.request({ ":method": "POST", ":path": call.path, ...headers });
  stream.on("error", () => {});
  send(stream, call);
  await once(stream, "response");
  await stopReading(stream);
  const { socket } = session;
  const ways = {
    "resets its connection": () => session.destroy(undefined, constants.NGHTTP2_INTERNAL_ERROR),
    "closes its connection": () => session.destroy(),
    "resets its stream": () => stream.close(constants.NGHTTP2_CANCEL),
  };
  return { ways, receivedBytes: () => socket?.bytesRead ?? 0 };
}

/** Forward may go on to send. */
function send(body: Writable, { path, message }: Call): void {
  const bytes = frame(Buffer.from(JSON.stringify(message)));
  if (path.endsWith("/Forward")) body.write(bytes);
  else body.end(bytes);
}

async function stopReading(answer: Readable): Promise<void> {
  answer.on("error", () => {});
  await once(answer, "readable");
  answer.pause();
}

/** Resolves when no more comes: the handler waits for its peer. */
async function standstill({ receivedBytes }: Unread): Promise<void> {
  let before = -1;
  await vi.waitFor(
    () => {
      const now = receivedBytes();
      const isStill = now === before;
      before = now;
      expect(isStill).toBe(true);
    },
    { timeout: 10_000, interval: 300 },
  );
}

const inotifyQueues = () =>
  leftovers().descriptors.filter((name) => name.includes("inotify")).length;

/** What is called, and what tells that something is held for it: 0 at its end. */
interface Held extends AsyncDisposable {
  call: Call;
  held: () => number | Promise<number>;
  /** Makes it have more to say than its peer takes. */
  flood?: () => Promise<void>;
}

const rpc = (name: string) => `/filesystem.Filesystem/${name}`;

/** A large file in a directory of its own. */
function largeFile(agent: TestAgent): { directory: string; path: string } {
  const directory = join(agent.directory, "place");
  mkdirSync(directory);
  const path = join(directory, "large");
  writeFileSync(path, "");
  truncateSync(path, LARGE);
  return { directory, path };
}

const nothing = { [Symbol.asyncDispose]: () => Promise.resolve() };

const CALLS: Record<string, (agent: TestAgent) => Promise<Held> | Held> = {
  ReadFile: (agent) => {
    const { directory, path } = largeFile(agent);
    const held = () => openFilesIn(directory).length;
    return { call: { path: rpc("ReadFile"), message: { path } }, held, ...nothing };
  },
  ReadTree: (agent) => {
    const { directory } = largeFile(agent);
    // A hole is not sent.
    writeFileSync(join(directory, "large"), Buffer.alloc(LARGE, "x"));
    const held = () => openFilesIn(directory).length;
    return { call: { path: rpc("ReadTree"), message: { path: directory } }, held, ...nothing };
  },
  WatchDir: (agent) => {
    const path = join(agent.directory, "place");
    mkdirSync(path);
    const flood = async () => {
      for (let index = 0; index < 1_000; index += 1) {
        writeFileSync(join(path, `${index}-${"x".repeat(200)}`), "");
        if (index % 100 === 0) await new Promise((resolve) => setImmediate(resolve));
      }
    };
    const call = { path: rpc("WatchDir"), message: { path } };
    return { call, held: inotifyQueues, flood, ...nothing };
  },
  Forward: async () => {
    const sockets = new Set<Socket>();
    const server = createServer((socket) => {
      sockets.add(socket);
      socket.on("error", () => {}).once("close", () => sockets.delete(socket));
      socket.write(Buffer.alloc(LARGE));
    });
    await once(server.listen(0, "127.0.0.1"), "listening");
    const { port } = server.address() as AddressInfo;
    const call = { path: "/ports.Ports/Forward", message: { open: { port } } };
    const close = () => new Promise<void>((resolve) => server.close(() => resolve()));
    return { call, held: () => sockets.size, [Symbol.asyncDispose]: close };
  },
  "Connect over gRPC-Web": async (agent) => {
    const client = agent.process();
    const run = await running(client, shell("read go; head -c 64M /dev/zero; exec sleep 1000"));
    const { selector: process } = run;
    const other = run.rest();
    const end = async () => {
      await client.sendSignal({ process, signal: Signal.SIGKILL }).catch(() => {});
      await other;
    };
    const flood = async () => {
      const stdin = { input: { case: "stdin", value: Buffer.from("go\n") } } as const;
      await client.sendInput({ process, input: stdin });
    };
    const call = {
      path: "/process.Process/Connect",
      message: { process: { pid: run.pid }, withOffsets: true },
      contentType: "application/grpc-web+json",
    };
    // The one that has started it is not meant.
    const held = async () => {
      const { processes } = await client.list({});
      return Math.max(0, (processes[0]?.viewers ?? 0) - 1);
    };
    return { call, held, flood, [Symbol.asyncDispose]: end };
  },
};

const OVER: Record<HttpVersion, typeof callHttp1> = { h1: callHttp1, h2: callHttp2 };
const WAYS: [HttpVersion, string][] = [
  ["h1", "resets its connection"],
  ["h1", "closes its connection"],
  ["h2", "resets its connection"],
  ["h2", "closes its connection"],
  ["h2", "resets its stream"],
];
/** Forward cannot be called over HTTP/1.1; WatchDir would need very many changes (`watch.test.ts`). */
const ONLY_H2 = new Set(["Forward", "WatchDir"]);
const CASES = Object.keys(CALLS).flatMap((name) =>
  WAYS.filter(([version]) => version === "h2" || !ONLY_H2.has(name)).map(([version, way]) => ({
    name,
    version,
    way,
  })),
);

test.for(CASES)(
  "$name holds nothing for a peer that does not read and $way, over $version",
  async ({ name, version, way }, { agent }) => {
    await using asked = await (CALLS[name] as (typeof CALLS)[string])(agent);
    const { call, held, flood } = asked;
    const unread = await OVER[version](agent, call);
    await vi.waitFor(async () => expect(await held()).toBe(1), IN_TIME);
    await flood?.();
    await standstill(unread);
    expect(await held()).toBe(1);

    unread.ways[way]?.();

    await vi.waitFor(async () => expect(await held()).toBe(0), IN_TIME);
  },
);
