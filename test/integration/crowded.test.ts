import { once } from "node:events";
import { readdirSync, readFileSync, writeFileSync } from "node:fs";
import type { ServerResponse } from "node:http";
import { connect as connectHttp2, constants } from "node:http2";
import { connect, type Socket } from "node:net";
import { describe, expect, test as plainTest, vi } from "vitest";
import { Process } from "../../gen/process/process_pb.js";
import { Server } from "../../src/net/server.ts";
import { test as base, type TestAgent } from "../helpers/agent.ts";
import { Binary } from "../helpers/binary.ts";
import { makeTree } from "../helpers/filesystem.ts";
import { keepLog } from "../helpers/log-lines.ts";
import { openClient } from "../helpers/net-client.ts";
import { callRaw } from "../helpers/raw-rpc.ts";
import { type RawSocket, rawSocket } from "../helpers/raw-socket.ts";
import { ask, httpVersions } from "../helpers/requests.ts";

const MOST = 4;
const RESERVE = 32;

const test = base.override({ config: { maxConnections: MOST } });

const REQUEST = "GET /envs HTTP/1.1\r\nHost: localhost\r\n\r\n";

/** Asks on `client`, which stays open. */
async function askAgain({ socket, received }: RawSocket): Promise<void> {
  const answers = () => received().split("HTTP/1.1 200").length;
  const before = answers();
  socket.write(REQUEST);
  await expect.poll(answers, { interval: 5, timeout: 10_000 }).toBe(before + 1);
}

async function idleClients(port: number, count: number): Promise<RawSocket[]> {
  const clients: RawSocket[] = [];
  for (let index = 0; index < count; index += 1) {
    const client = await rawSocket(port);
    await askAgain(client);
    clients.push(client);
  }
  return clients;
}

/** Streams that follow a directory, each over a connection of its own. */
async function watchers(agent: TestAgent, count: number) {
  const place = `${agent.directory}/place`;
  makeTree(agent.directory, "place/");
  const streams = await Promise.all(
    Array.from({ length: count }, async () => {
      const leave = new AbortController();
      const { signal } = leave;
      const stream = agent.filesystem().watchDir({ path: place }, { signal });
      const events = stream[Symbol.asyncIterator]();
      await events.next();
      return { next: async () => (await events.next()).value?.event.case, leave };
    }),
  );
  return {
    streams,
    /** Each of them is told of a file. */
    async work() {
      writeFileSync(`${place}/file`, "");
      const told = await Promise.all(streams.map(({ next }) => next()));
      expect(told).toEqual(streams.map(() => "filesystem"));
    },
  };
}

describe("when all connections are taken", () => {
  test("a new one takes the place of the one that was idle for longest", async ({ agent }) => {
    const clients = await idleClients(agent.port, MOST);
    const [first, second, ...others] = clients as [RawSocket, RawSocket, ...RawSocket[]];
    await askAgain(first);

    const [newcomer] = (await idleClients(agent.port, 1)) as [RawSocket];
    await second.closed;

    for (const client of [first, ...others, newcomer]) await askAgain(client);
    expect(agent.connections()).toBe(MOST);
    for (const { socket } of clients) socket.destroy();
    newcomer.socket.destroy();
  });

  test("one that has said nothing goes before any that was idle for longer", async ({ agent }) => {
    const clients = await idleClients(agent.port, MOST - 1);
    const mute = await rawSocket(agent.port);
    await expect.poll(() => agent.connections()).toBe(MOST);

    const [newcomer] = (await idleClients(agent.port, 1)) as [RawSocket];
    await mute.closed;

    for (const client of [...clients, newcomer]) await askAgain(client);
    for (const { socket } of [...clients, newcomer]) socket.destroy();
  });

  test("an idle one of HTTP/2 is closed by GOAWAY", async ({ agent }) => {
    const session = connectHttp2(agent.url);
    const stream = session.request({ ":path": "/envs" }).resume();
    await once(stream, "close");
    const goodbye = once(session, "goaway");
    const closed = once(session, "close");
    const others = await idleClients(agent.port, MOST);

    expect((await goodbye)[0]).toBe(constants.NGHTTP2_NO_ERROR);
    await closed;
    for (const { socket } of others) socket.destroy();
  });

  test("streams are never closed for a new one, and control calls are answered", async ({
    agent,
  }) => {
    const { streams, work } = await watchers(agent, MOST);

    for (const version of httpVersions) {
      const refusal = await ask(version, agent.url, { path: "/envs" });
      expect(refusal.status).toBe(503);
      expect(JSON.parse(refusal.text)).toMatchObject({ code: "unavailable" });
      expect((await ask(version, agent.url, { path: "/health" })).status).toBe(204);
      const signal = { process: { pid: 999_999 }, signal: "SIGNAL_SIGTERM" };
      const { code } = await callRaw(agent.url, Process.method.sendSignal, JSON.stringify(signal), {
        version,
      });
      expect(code).toBe("not_found");
    }
    const refused = await rawSocket(agent.port);
    refused.socket.write(REQUEST);
    expect(await refused.closed).toMatch(/^HTTP\/1.1 503 [^]*connection: close/i);

    await work();
    streams[0]?.leave.abort();
    await vi.waitFor(
      async () => expect((await ask("h1", agent.url, { path: "/envs" })).status).toBe(200),
      { timeout: 10_000 },
    );
    for (const { leave } of streams) leave.abort();
  });
});

plainTest(
  "beyond the reserve a new one is reset, and that is logged once in a second",
  async () => {
    const { log, lines } = keepLog();
    const streams: ServerResponse[] = [];
    const server = new Server({
      host: "127.0.0.1",
      port: 0,
      maxConnections: MOST,
      log,
      onRequest: (_, response) => {
        streams.push(response.writeHead(200));
        response.write("begun");
      },
      crowd: { isControl: () => true, refuse: (_, response) => response.end() },
    });
    const port = await server.listen();
    const way = { version: "h1", isEncrypted: false } as const;
    const open = async () => await openClient(way, { port });
    const clients = await Promise.all(Array.from({ length: MOST + RESERVE }, open));
    await Promise.all(clients.map((client) => client.ask("/", "begun")));

    const endings = await Promise.all(
      Array.from({ length: 20 }, async () => {
        const [reason] = await once(connect(port, "127.0.0.1"), "error");
        return (reason as NodeJS.ErrnoException).code;
      }),
    );
    expect(endings).toEqual(endings.map(() => "ECONNRESET"));
    const warnings = lines.filter(({ level }) => level === 40);
    expect(warnings.length).toBeGreaterThan(0);
    expect(warnings.length).toBeLessThan(10);

    const ticks = clients.map((client) => client.until("tick"));
    for (const stream of streams) stream.write("tick");
    await Promise.all(ticks);
    for (const client of clients) client.destroy();
    await server.close(0);
  },
);

const FLOOD = 500;
const FLOOD_MOST = 64;
const MIB = 1024 * 1024;

plainTest(
  "a flood of connections that say nothing harms nobody and leaves nothing",
  async () => {
    await using agent = await Binary.serve(["--no-token", "--max-connections", `${FLOOD_MOST}`]);
    const port = Number(new URL(agent.url).port);
    const open = () => readdirSync(`/proc/${agent.child.pid}/fd`).length;
    const residentBytes = () =>
      Number(readFileSync(`/proc/${agent.child.pid}/statm`, "latin1").split(" ")[1]) * 4096;
    const working = await rawSocket(port);
    await askAgain(working);
    const [openBefore, bytesBefore] = [open(), residentBytes()];

    const silent: Socket[] = [];
    for (let round = 0; round < 4; round += 1) {
      for (let index = 0; index < FLOOD; index += 1) {
        silent.push(connect(port, "127.0.0.1").on("error", () => {}));
      }
      await once(silent.at(-1) as Socket, "connect");
      await askAgain(working);
      expect(open()).toBeLessThanOrEqual(openBefore + FLOOD_MOST + RESERVE + 8);
      expect((await ask("h1", agent.url, { path: "/envs" })).status).toBe(200);
    }

    for (const socket of silent) socket.destroy();
    await vi.waitFor(() => expect(open()).toBeLessThanOrEqual(openBefore), { timeout: 10_000 });
    expect(residentBytes() - bytesBefore).toBeLessThan(64 * MIB);
    await askAgain(working);
    working.socket.destroy();
  },
  60_000,
);
