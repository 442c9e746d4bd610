import { appendFileSync, readFileSync } from "node:fs";
import { type Client, Code } from "@connectrpc/connect";
import { expect, vi } from "vitest";
import type { Filesystem, WatchDirResponse } from "../../gen/filesystem/filesystem_pb.js";
import { test as base, describeTransports, leftovers } from "../helpers/agent.ts";
import { failureOf, makeTree } from "../helpers/filesystem.ts";

/** With a directory that the agent itself has no business in. */
const test = base.extend<{ place: string }>({
  place: async ({ agent }, use) => {
    makeTree(agent.directory, "place/");
    await use(`${agent.directory}/place`);
  },
});

type Request = Parameters<Client<typeof Filesystem>["watchDir"]>[0];

/** The next `count` events of a stream, which is left then. */
async function take(client: Client<typeof Filesystem>, request: Request, count: number) {
  const controller = new AbortController();
  const events: WatchDirResponse["event"][] = [];
  const stream = client.watchDir(request, { signal: controller.signal });
  const messages = stream[Symbol.asyncIterator]();
  const next = async () => {
    const { value } = (await messages.next()) as { value: WatchDirResponse };
    events.push(value.event);
  };
  await next();
  return {
    start: events[0]?.case === "start" ? events[0].value : undefined,
    rest: async () => {
      while (events.length <= count) await next();
      controller.abort();
      await messages.next().catch(() => {});
      return events.slice(1).map((event) => {
        if (event.case === "filesystem") return `${event.value.sequence} ${event.value.name}`;
        return event.case;
      });
    },
  };
}

describeTransports("a durable watch", (transport) => {
  test("tells after a cut what happened meanwhile, and nothing twice", async ({ agent, place }) => {
    const client = agent.filesystem(transport);
    const first = await take(client, { path: place, recursive: true, durable: true }, 2);
    const watcherId = first.start?.watcherId ?? "";
    expect(first.start?.sequence).toBe(0n);
    makeTree(place, "a", "b");
    expect(await first.rest()).toEqual(["1 a", "2 b"]);
    makeTree(place, "c", "d");

    const second = await take(client, { watcherId, afterSequence: 2n }, 3);
    expect(second.start).toMatchObject({ watcherId, sequence: 2n });
    makeTree(place, "e");
    expect(await second.rest()).toEqual(["3 c", "4 d", "5 e"]);
    const again = await take(client, { watcherId, afterSequence: 3n }, 2);
    expect(await again.rest()).toEqual(["4 d", "5 e"]);
  });

  test("is over once it is removed, for who reads it and who comes back", async ({
    agent,
    place,
  }) => {
    const client = agent.filesystem(transport);
    const stream = await take(client, { path: place, durable: true }, 1);
    const watcherId = stream.start?.watcherId ?? "";
    const rest = failureOf(stream.rest());

    await client.removeWatcher({ watcherId });

    expect(await rest).toMatchObject({ code: Code.NotFound });
    expect(await failureOf(take(client, { watcherId }, 1))).toEqual({
      code: Code.NotFound,
      message: `watcher with id ${watcherId} not found`,
    });
    const left = () => leftovers().descriptors.filter((name) => name.includes("inotify"));
    await vi.waitFor(() => expect(left()).toEqual([]));
  });

  test("refuses a number that is still to come", async ({ agent, place }) => {
    const client = agent.filesystem(transport);
    const { watcherId } = await client.createWatcher({ path: place, durable: true });

    expect(await failureOf(take(client, { watcherId, afterSequence: 7n }, 1))).toEqual({
      code: Code.OutOfRange,
      message: "change 7 is still to come: the latest is 0",
    });
  });

  test("says that it lives while nothing happens", async ({ agent, place }) => {
    const client = agent.filesystem(transport);
    const headers = { "Keepalive-Ping-Interval": "1" };
    const cases: unknown[] = [];

    for await (const { event } of client.watchDir({ path: place, durable: true }, { headers })) {
      cases.push(event.case);
      if (cases.length === 2) break;
    }

    expect(cases).toEqual(["start", "keepalive"]);
  });

  test("can be asked by one call after another, also when an answer was lost", async ({
    agent,
    place,
  }) => {
    const client = agent.filesystem(transport);
    const { watcherId } = await client.createWatcher({ path: place, durable: true });
    makeTree(place, "a", "b");
    const lost = await client.getWatcherEvents({ watcherId });

    const repeated = await client.getWatcherEvents({ watcherId });
    makeTree(place, "c");
    const { sequence: afterSequence } = repeated;
    const next = await client.getWatcherEvents({ watcherId, afterSequence });

    expect(repeated.events).toEqual(lost.events);
    expect(repeated).toMatchObject({ sequence: 2n, resync: false });
    expect(next.events.map(({ name, sequence }) => `${sequence} ${name}`)).toEqual(["3 c"]);
  });
});

test("a durable watch tells who comes back that changes were lost, and goes on", async ({
  agent,
  place,
}) => {
  const client = agent.filesystem("h2-proto");
  const { watcherId } = await client.createWatcher({ path: place, durable: true });
  makeTree(place, "a", "b");
  const most = Number(readFileSync("/proc/sys/fs/inotify/max_queued_events", "utf8"));
  // Two files in turn: the kernel makes one of two changes that are the same.
  for (let index = 0; index < most; index += 1) {
    appendFileSync(`${place}/${index % 2 === 0 ? "a" : "b"}`, "x");
  }
  await expect.poll(async () => (await client.getWatcherEvents({ watcherId })).resync).toBe(true);

  const late = await take(client, { watcherId, afterSequence: 0n }, 2);
  makeTree(place, "c");

  expect(await late.rest()).toEqual(["resync", expect.stringMatching(/^\d+ c$/)]);
});
