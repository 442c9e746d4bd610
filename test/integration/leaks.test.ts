import { mkdirSync, readdirSync, readFileSync } from "node:fs";
import { connect as connectHttp2 } from "node:http2";
import { connect } from "node:net";
import type { Client } from "@connectrpc/connect";
import { expect, vi } from "vitest";
import type { Process } from "../../gen/process/process_pb.js";
import { leftovers, type TestAgent, test } from "../helpers/agent.ts";
import { start } from "../helpers/process.ts";

/** How often; more on demand. */
const STARTS = Number(process.env["THAW_TEST_STARTS"] ?? 300);
const WATCHES = 2_000;
const CONNECTIONS = 2_000;
/** How many at once. */
const AT_ONCE = 10;
const MIB = 1024 * 1024;

/** What this process holds, counted; terminals are among the descriptors. */
function held() {
  const { descriptors, children } = leftovers();
  return { descriptors: descriptors.length, children: children.length };
}

/** How many directories the kernel watches for this process. */
function watches(): number {
  const infos = readdirSync("/proc/self/fdinfo").map((fd) => {
    try {
      return readFileSync(`/proc/self/fdinfo/${fd}`, "utf8");
    } catch {
      // The descriptor of the listing itself.
      return "";
    }
  });
  return infos.join("").split("inotify wd:").length - 1;
}

function residentMib(): number {
  return Math.round(process.memoryUsage.rss() / MIB);
}

/** Does `act` `count` times, some at once. */
async function repeat(count: number, act: (index: number) => Promise<unknown>): Promise<void> {
  let next = 0;
  const one = async () => {
    while (next < count) await act(next++);
  };
  await Promise.all(Array.from({ length: AT_ONCE }, one));
}

/** Figures to read, where more starts than usual were asked for. The terminals are the machine's. */
function report(what: string, figures: object): void {
  if (process.env["THAW_TEST_STARTS"] === undefined) return;
  const terminals = readdirSync("/dev/pts").length - 1;
  console.log(what, JSON.stringify({ ...figures, terminals }));
}

/** Waits until no more is held than before. */
async function settle(before: ReturnType<typeof held>): Promise<void> {
  await vi.waitFor(
    () => {
      const now = held();
      expect(now.children).toBe(before.children);
      expect(now.descriptors).toBeLessThanOrEqual(before.descriptors);
    },
    { timeout: 5_000, interval: 20 },
  );
}

test.for([
  ["pipes", {}],
  ["terminals", { pty: {} }],
] as const)(
  `${STARTS} starts on %s leave nothing behind`,
  { timeout: 600_000 },
  async ([what, options], { agent }) => {
    const client: Client<typeof Process> = agent.process("h2-proto");
    const one = () => start(client, { process: { cmd: "true" }, ...options });
    await client.list({});
    const before = held();
    await repeat(AT_ONCE * 10, one);
    const rssBefore = residentMib();
    const begin = performance.now();

    await repeat(STARTS, one);

    const seconds = (performance.now() - begin) / 1000;
    await settle(before);
    const rss = { before: rssBefore, after: residentMib() };
    report(what, { starts: STARTS, seconds, before, after: held(), rss });
    expect(
      rss.after - rss.before,
      "MiB of memory, the young heap of client and agent in it",
    ).toBeLessThan(250);
    expect((await client.list({})).processes).toEqual([]);
  },
);

test(`${WATCHES} watchers made and removed leave no watch behind`, async ({ agent }) => {
  const client = agent.filesystem("h2-proto");
  const tree = `${agent.directory}/tree`;
  for (const name of ["a/b", "c", "d"]) mkdirSync(`${tree}/${name}`, { recursive: true });
  const watchedBefore = watches();
  await client.stat({ path: tree });
  const before = held();

  await repeat(WATCHES, async (index) => {
    const { watcherId } = await client.createWatcher({ path: tree, recursive: index % 2 === 0 });
    await client.removeWatcher({ watcherId });
  });

  await settle(before);
  expect(watches()).toBe(watchedBefore);
});

/** What a client may do with a connection. */
const habits: Record<string, (agent: TestAgent) => Promise<void>> = {
  "closes it without a word": async ({ port }) => {
    await gone(connect(port, "127.0.0.1").end());
  },
  "resets it without a word": async ({ port }) => {
    const socket = connect(port, "127.0.0.1");
    socket.once("connect", () => socket.resetAndDestroy());
    await gone(socket);
  },
  "closes it in the middle of a request": async ({ port }) => {
    await gone(connect(port, "127.0.0.1").end("POST /files HTTP/1.1\r\nHost: x\r\nContent-Le"));
  },
  "resets it behind a request": async ({ port }) => {
    const socket = connect(port, "127.0.0.1");
    socket.write("GET /health HTTP/1.1\r\nHost: x\r\n\r\n", () => socket.resetAndDestroy());
    await gone(socket);
  },
  "asks and closes": async ({ port }) => {
    const socket = connect(port, "127.0.0.1");
    socket.write("GET /health HTTP/1.1\r\nHost: x\r\n\r\n");
    socket.once("data", () => socket.end());
    await gone(socket);
  },
  "asks over HTTP/2 and resets": async ({ url }) => {
    const session = connectHttp2(url);
    session.on("error", () => {});
    const stream = session.request({ ":path": "/health" });
    stream.on("error", () => {}).once("response", () => session.destroy());
    await new Promise((resolve) => session.once("close", resolve));
  },
};

function gone(socket: ReturnType<typeof connect>): Promise<void> {
  socket.on("error", () => {}).resume();
  return new Promise((resolve) => socket.once("close", () => resolve()));
}

test(`${CONNECTIONS} connections closed and reset leave none behind`, async ({ agent }) => {
  const ways = Object.values(habits);
  await fetch(`${agent.url}/health`, { headers: { connection: "close" } });
  const before = held();

  await repeat(CONNECTIONS, async (index) => {
    await ways[index % ways.length]?.(agent);
  });

  await settle(before);
  await vi.waitFor(() => expect(agent.connections()).toBe(0));
  expect((await fetch(`${agent.url}/health`)).status).toBe(204);
});
