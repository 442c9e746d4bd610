import { once } from "node:events";
import { existsSync } from "node:fs";
import { connect as connectSocket, type Socket } from "node:net";
import { join } from "node:path";
import { create, toBinary } from "@bufbuild/protobuf";
import { expect, vi } from "vitest";
import { ConnectRequestSchema, Signal } from "../../gen/process/process_pb.js";
import { type TestAgent, test } from "../helpers/agent.ts";
import { type Event, type Followed, running, shell } from "../helpers/process.ts";

test.override({ config: { stallTimeoutMs: 1_000 } });

/** Something else would have to end the test before a stopped viewer's 1 s is over. */
const CUT_WITHIN = { timeout: 8_000, interval: 20 };

/** Follows `pid` over HTTP/1.1 and never reads: what a stopped program looks like from outside. */
async function stoppedViewer(agent: TestAgent, pid: number): Promise<Socket> {
  const request = create(ConnectRequestSchema, {
    process: { selector: { case: "pid", value: pid } },
  });
  const message = toBinary(ConnectRequestSchema, request);
  const head = Buffer.alloc(5);
  head.writeUInt32BE(message.length, 1);
  const before = agent.connections();
  const socket = connectSocket(agent.port, "127.0.0.1").pause();
  socket.on("error", () => {});
  await once(socket, "connect");
  socket.write(
    `POST /process.Process/Connect HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/connect+proto\r\nContent-Length: ${message.length + 5}\r\n\r\n`,
  );
  socket.write(Buffer.concat([head, message]));
  await vi.waitFor(() => expect(agent.connections()).toBe(before + 1), CUT_WITHIN);
  return socket;
}

const size = (event: Event) =>
  event.case === "data" ? (event.value.output.value?.length ?? 0) : 0;

/** Reads to the end in the background and keeps nothing, as fast as it can. */
function reader(viewer: Followed): { bytes: number; ended: Promise<unknown> } {
  const read = { bytes: 0, ended: Promise.resolve() as Promise<unknown> };
  read.ended = viewer
    .until((events) => {
      read.bytes += events.splice(1).reduce((sum, event) => sum + size(event), 0);
      return false;
    })
    .catch((reason: unknown) => reason);
  return read;
}

/** Resolves when `read` has got `bytes` more. */
async function readMore(read: { bytes: number }, bytes: number): Promise<void> {
  const enough = read.bytes + bytes;
  await vi.waitFor(() => expect(read.bytes).toBeGreaterThan(enough), CUT_WITHIN);
}

async function kill(agent: TestAgent, { selector }: Followed): Promise<void> {
  await agent.process().sendSignal({ process: selector, signal: Signal.SIGKILL });
}

test("a viewer that stopped is cut off, and another goes on through it all", async ({ agent }) => {
  const yes = await running(agent.process("h2-proto"), { process: { cmd: "yes" } });
  const reading = reader(yes);
  const before = agent.connections();
  const stopped = await stoppedViewer(agent, yes.pid);

  while (agent.connections() > before) await readMore(reading, 1024 * 1024);
  await readMore(reading, 8 * 1024 * 1024);

  await kill(agent, yes);
  await expect(reading.ended).resolves.toMatchObject({ message: "the stream ended before that" });
  stopped.destroy();
});

test("the memory of the agent does not grow with what a stopped viewer does not read", async ({
  agent,
}) => {
  const yes = await running(agent.process("h2-proto"), { process: { cmd: "yes" } });
  const reading = reader(yes);
  await readMore(reading, 32 * 1024 * 1024);
  const stopped: Socket[] = [];
  for (const _ of Array.from({ length: 4 })) stopped.push(await stoppedViewer(agent, yes.pid));
  const before = process.memoryUsage().rss;

  await readMore(reading, 256 * 1024 * 1024);

  expect(process.memoryUsage().rss - before).toBeLessThan(96 * 1024 * 1024);
  await kill(agent, yes);
  await reading.ended;
  for (const socket of stopped) socket.destroy();
});

test("a single viewer that stopped holds its process up until it is cut off", async ({ agent }) => {
  const client = agent.process("h2-proto");
  const done = join(agent.directory, "done");
  const leave = new AbortController();
  const script = `read go; head -c 64M /dev/zero; touch ${done}; exec sleep 100`;
  const program = await running(client, shell(script), { signal: leave.signal });
  const before = agent.connections();
  const stopped = await stoppedViewer(agent, program.pid);
  leave.abort();
  await program.rest().catch(() => {});

  const stdin = { input: { case: "stdin", value: Buffer.from("go\n") } } as const;
  await client.sendInput({ process: program.selector, input: stdin });

  await vi.waitFor(() => {
    const wasConnected = agent.connections() > before;
    expect(wasConnected && existsSync(done)).toBe(false);
    expect(existsSync(done)).toBe(true);
  }, CUT_WITHIN);
  await client.sendSignal({ process: program.selector, signal: Signal.SIGKILL });
  await vi.waitFor(async () => expect((await client.list({})).processes).toEqual([]));
  stopped.destroy();
});

test.for(["grpc", "grpc-web"] as const)(
  "a single viewer that stopped is cut off over %s as well",
  async (transport, { agent }) => {
    const done = join(agent.directory, "done");
    const script = `head -c 64M /dev/zero; touch ${done}; exec sleep 100`;
    const program = await running(agent.process(transport), shell(script));

    await vi.waitFor(() => expect(existsSync(done)).toBe(true), CUT_WITHIN);

    await expect(program.rest()).rejects.toThrow();
    await kill(agent, program);
  },
);

test("a slow viewer that goes on reading is not cut off", async ({ agent }) => {
  const client = agent.process("h2-proto");
  const leave = new AbortController();
  const yes = await running(client, { process: { cmd: "yes" } }, { signal: leave.signal });
  const slow = await stoppedViewer(agent, yes.pid);
  leave.abort();
  await yes.rest().catch(() => {});
  const before = agent.connections();
  let reads = 0;

  const reading = setInterval(() => {
    reads += slow.read() === null ? 0 : 1;
  }, 50);
  await vi.waitFor(() => expect(reads).toBeGreaterThan(60), CUT_WITHIN);
  clearInterval(reading);

  expect(agent.connections()).toBe(before);
  await kill(agent, yes);
  slow.destroy();
});
