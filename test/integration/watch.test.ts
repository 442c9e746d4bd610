import { once } from "node:events";
import { appendFileSync, chmodSync, rmSync, unlinkSync } from "node:fs";
import { request as httpRequest } from "node:http";
import { type Client, Code } from "@connectrpc/connect";
import { describe, expect, vi } from "vitest";
import {
  EventType,
  type Filesystem,
  type FilesystemEvent,
  type WatchDirResponse,
} from "../../gen/filesystem/filesystem_pb.js";
import { test as base, describeTransports, leftovers } from "../helpers/agent.ts";
import { failureOf, makeTree } from "../helpers/filesystem.ts";
import { ask, filesPath } from "../helpers/requests.ts";

/** With a directory that the agent itself has no business in. */
const test = base.extend<{ place: string }>({
  place: async ({ agent }, use) => {
    makeTree(agent.directory, "place/");
    await use(`${agent.directory}/place`);
  },
});

type WatchRequest = Parameters<Client<typeof Filesystem>["watchDir"]>[0];
type CallOptions = Parameters<Client<typeof Filesystem>["watchDir"]>[1];

/** A WatchDir stream that has said `start`. */
async function watching(
  client: Client<typeof Filesystem>,
  request: WatchRequest,
  options?: CallOptions,
) {
  const controller = new AbortController();
  const stream = client.watchDir(request, { signal: controller.signal, ...options });
  const messages = stream[Symbol.asyncIterator]();
  const next = async (): Promise<WatchDirResponse["event"]> => {
    const { done, value } = await messages.next();
    if (done === true) throw new Error("the stream has ended");
    return value.event;
  };
  expect((await next()).case).toBe("start");
  return {
    next,
    /** The next changes, as in `CREATE name`. */
    changes: async (count: number) => {
      const told: string[] = [];
      while (told.length < count) {
        const event = await next();
        if (event.case === "filesystem") told.push(inWords(event.value));
      }
      return told;
    },
    leave: async () => {
      controller.abort();
      await messages.next().catch(() => {});
    },
  };
}

function inWords({ type, name }: FilesystemEvent): string {
  return `${EventType[type]} ${name}`;
}

function inotifyQueues(): number {
  return leftovers().descriptors.filter((name) => name.includes("inotify")).length;
}

describeTransports("a watch stream", (transport) => {
  test("says start, then every change in order", async ({ agent, place }) => {
    makeTree(place, "old");
    const watch = await watching(agent.filesystem(transport), {
      path: place,
      recursive: true,
    });

    makeTree(place, "a/b/file");
    chmodSync(`${place}/a`, 0o700);
    appendFileSync(`${place}/old`, "x");
    unlinkSync(`${place}/old`);

    expect(await watch.changes(6)).toEqual([
      "CREATE a",
      "CHMOD a",
      "WRITE old",
      "REMOVE old",
      "CREATE a/b",
      "CREATE a/b/file",
    ]);
    await watch.leave();
  });

  test("describes entries when asked to", async ({ agent, place }) => {
    const watch = await watching(agent.filesystem(transport), {
      path: place,
      includeEntry: true,
    });

    makeTree(place, "new");

    const event = await watch.next();
    expect(event).toMatchObject({
      case: "filesystem",
      value: { name: "new", entry: { path: `${place}/new`, permissions: "-rw-r--r--" } },
    });
    await watch.leave();
  });

  test("goes on when its directory is deleted", async ({ agent, place }) => {
    makeTree(place, "root/");
    const watch = await watching(
      agent.filesystem(transport),
      { path: `${place}/root` },
      { headers: { "Keepalive-Ping-Interval": "1" } },
    );

    rmSync(`${place}/root`, { recursive: true });

    expect(await watch.changes(1)).toEqual(["REMOVE ."]);
    expect((await watch.next()).case).toBe("keepalive");
    await watch.leave();
  });

  test("ends at its deadline and not before, and lets the directory go", async ({
    agent,
    place,
  }) => {
    const stream = agent
      .filesystem(transport)
      .watchDir({ path: place }, { headers: { "Connect-Timeout-Ms": "300" } });
    const cases: unknown[] = [];

    const reading = (async () => {
      for await (const { event } of stream) cases.push(event.case);
    })();

    expect(await failureOf(reading)).toMatchObject({ code: Code.DeadlineExceeded });
    expect(cases).toEqual(["start"]);
    await vi.waitFor(() => expect(inotifyQueues()).toBe(0));
  });

  test("lets the directory go at once when its client leaves", async ({ agent, place }) => {
    const watch = await watching(agent.filesystem(transport), { path: place });
    expect(inotifyQueues()).toBe(1);

    await watch.leave();

    await vi.waitFor(() => expect(inotifyQueues()).toBe(0));
  });

  test.for([
    [{ path: "/no/such" }, Code.NotFound, "path /no/such not found: "],
    [{ path: "/etc/passwd" }, Code.InvalidArgument, "path /etc/passwd not a directory"],
    [{ path: "~x" }, Code.InvalidArgument, "failed to expand path '~x' for user 'root': "],
    [{ path: "/\0" }, Code.InvalidArgument, "path contains a NUL byte: "],
  ] as const)("of %j is refused", async ([request, code, words], { agent }) => {
    const failure = await failureOf(watching(agent.filesystem(transport), request));

    expect(failure.code).toBe(code);
    expect(failure.message.startsWith(words)).toBe(true);
  });

  test.for(["0", "-5", "soon", "1.5"])(
    "with the keep-alive interval %s is refused",
    async (interval, { agent, place }) => {
      const failure = await failureOf(
        watching(
          agent.filesystem(transport),
          { path: place },
          { headers: { "Keepalive-Ping-Interval": interval } },
        ),
      );

      expect(failure).toMatchObject({
        code: Code.InvalidArgument,
        message: expect.stringContaining("Keepalive-Ping-Interval"),
      });
    },
  );
});

describe("a watch stream", () => {
  test("lets the directory go when a client that does not read vanishes", async ({
    agent,
    place,
  }) => {
    const body = Buffer.from(JSON.stringify({ path: place }));
    const frame = Buffer.concat([Buffer.alloc(5), body]);
    frame.writeUInt32BE(body.length, 1);
    const outgoing = httpRequest(`${agent.url}/filesystem.Filesystem/WatchDir`, {
      method: "POST",
      headers: { "Content-Type": "application/connect+json" },
      agent: false,
    });
    outgoing.on("error", () => {});
    outgoing.end(frame);
    const [response] = (await once(outgoing, "response")) as [NodeJS.ReadableStream];
    response.on("error", () => {});
    await once(response, "readable");
    response.pause();
    // Enough that the stream waits for its client.
    for (let round = 0; round < 60; round += 1) {
      for (let index = 0; index < 500; index += 1) {
        const path = `${place}/${index}-${"x".repeat(200)}`;
        if (round % 2 === 0) makeTree(place, `${index}-${"x".repeat(200)}`);
        else unlinkSync(path);
      }
      await new Promise((resolve) => setImmediate(resolve));
    }

    outgoing.destroy();

    await vi.waitFor(() => expect(inotifyQueues()).toBe(0), { timeout: 5_000 });
  });

  test("ends as unavailable when the agent shuts down", async ({ agent, place }) => {
    const watch = await watching(agent.filesystem(), { path: place });

    const next = failureOf(watch.next());
    await agent.close(1_000);

    expect(await next).toMatchObject({ code: Code.Unavailable });
    expect(inotifyQueues()).toBe(0);
  });
});

describeTransports("a stored watcher", (transport) => {
  test("collects until it is removed", async ({ agent, place }) => {
    const client = agent.filesystem(transport);
    const { watcherId } = await client.createWatcher({ path: place, recursive: true });
    const collect = async () =>
      (await client.getWatcherEvents({ watcherId })).events.map((event) => inWords(event));

    makeTree(place, "a/b");
    expect(await collect()).toEqual(["CREATE a", "CREATE a/b"]);
    expect(await collect()).toEqual([]);
    await client.removeWatcher({ watcherId });

    expect(watcherId).toMatch(/^w[a-z0-9]{20}$/);
    const unknown = { code: Code.NotFound, message: `watcher with id ${watcherId} not found` };
    expect(await failureOf(client.getWatcherEvents({ watcherId }))).toEqual(unknown);
    expect(await failureOf(client.removeWatcher({ watcherId }))).toEqual(unknown);
  });

  test("has what a finished upload caused, each time", async ({ agent, place }) => {
    const client = agent.filesystem(transport);
    const { watcherId } = await client.createWatcher({ path: place, recursive: true });

    for (let round = 0; round < 20; round += 1) {
      const path = `${place}/${round}/deep/file`;
      const answer = await ask("h1", agent.url, {
        method: "POST",
        path: filesPath({ path }),
        headers: { "Content-Type": "application/octet-stream" },
        body: "content",
      });
      expect(answer.status).toBe(200);
      const { events } = await client.getWatcherEvents({ watcherId });

      expect(events.map(inWords)).toContain(`CREATE ${round}/deep/file`);
    }
  });

  test("outlives the connection that made it, and ends with the agent", async ({
    agent,
    place,
  }) => {
    const { watcherId } = await agent.filesystem(transport).createWatcher({ path: place });
    makeTree(place, "new");

    const { events } = await agent.filesystem("grpc").getWatcherEvents({ watcherId });

    expect(events.map(inWords)).toEqual(["CREATE new"]);
    expect(inotifyQueues()).toBe(1);
  });
});
