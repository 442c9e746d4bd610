import { once } from "node:events";
import type { ServerResponse } from "node:http";
import { connect } from "node:net";
import { test as base, describe, expect } from "vitest";
import { createLog } from "../../src/log.ts";
import { Server } from "../../src/net/server.ts";
import { makeCertificate } from "../helpers/certificate.ts";
import { socketsOn } from "../helpers/kernel-sockets.ts";
import { Namespace, namespaceProblem } from "../helpers/namespace.ts";
import { type NetClient, openClient, ways } from "../helpers/net-client.ts";
import { type RawSocket, rawSocket } from "../helpers/raw-socket.ts";
import { SilentProxy } from "../helpers/silent-proxy.ts";

/** How long a probe may take, in ms: as long as after a restore. */
const PROBE_MS = 800;
const REQUEST = "GET /once HTTP/1.1\r\nHost: guest\r\n\r\n";
const tls = makeCertificate();

const problem = namespaceProblem();
if (problem !== undefined) console.warn(`peers that vanish are not tested: ${problem}`);

/** A server that answers `/once` at once and `/stream` for ever. */
class TestServer {
  readonly server: Server;
  /** How many requests it was handed. */
  requests = 0;
  readonly #streams = new Set<ServerResponse>();

  constructor(host: string) {
    this.server = new Server({
      host,
      port: 0,
      tls,
      log: createLog("silent"),
      onRequest: ({ url }, response) => {
        this.requests += 1;
        if (url === "/once") response.end("done");
        else this.#streams.add(response.writeHead(200));
        if (url !== "/once") response.write("begun");
      },
    });
  }

  /** Sends a word on every stream. */
  tick(): void {
    for (const stream of this.#streams) stream.write("tick");
  }
}

const test = base.extend<{ host: string; guest: TestServer }>({
  host: "0.0.0.0",
  guest: async ({ host }, use) => {
    const guest = new TestServer(host);
    await guest.server.listen();
    await use(guest);
    await guest.server.close(0);
  },
});

/** A connection of each kind: idle and streaming, HTTP/1 and HTTP/2, with TLS and without. */
async function openAll(target: { port: number } | { path: string }) {
  const idle: NetClient[] = [];
  const streaming: NetClient[] = [];
  for (const way of ways) {
    const [quiet, busy] = [await openClient(way, target), await openClient(way, target)];
    await quiet.ask("/once", "done");
    await busy.ask("/stream", "begun");
    idle.push(quiet);
    streaming.push(busy);
  }
  const all = [...idle, ...streaming];
  return {
    all,
    /** Every one of them still does what it did. */
    async work(guest: TestServer) {
      const ticks = streaming.map((client) => client.until("tick"));
      guest.tick();
      await Promise.all(ticks);
      await Promise.all(idle.map((client) => client.ask("/once", "done")));
    },
    [Symbol.dispose]() {
      for (const client of all) client.destroy();
    },
  };
}

/** An idle connection over HTTP/1. */
async function idleHttp1(guest: TestServer): Promise<RawSocket> {
  const client = await rawSocket(guest.server.port);
  client.socket.write(REQUEST);
  await expect.poll(client.received).toContain("done");
  return client;
}

function answersOf(received: string): number {
  return received.split("HTTP/1.1 200").length - 1;
}

describe("a new epoch", () => {
  test("makes every open connection an old one, and old ones are reset", async ({ guest }) => {
    const { tracker, port } = guest.server;
    using before = await openAll({ port });
    const sniffing = await rawSocket(port);
    await expect.poll(() => tracker.list().length).toBe(before.all.length + 1);

    expect(tracker.beginEpoch()).toBe(2);
    using after = await openAll({ port });
    expect(tracker.destroyOld()).toBe(before.all.length + 1);

    const endings = await Promise.all(before.all.map((client) => client.ended));
    expect(endings).toEqual(before.all.map(() => "ECONNRESET"));
    await sniffing.closed;
    await after.work(guest);
    expect(tracker.destroyOld()).toBe(0);
  });

  test("leaves no socket in the kernel, whatever was still to be sent", async ({ guest }) => {
    const { tracker, port } = guest.server;
    using clients = await openAll({ port });
    guest.tick();

    tracker.beginEpoch();
    tracker.destroyOld();

    await expect.poll(() => socketsOn(port)).toEqual({});
    await Promise.all(clients.all.map((client) => client.ended));
  });

  test("has old ones gone for all at once, and lets who comes be answered before they are torn down", async ({
    guest,
  }) => {
    const { tracker, port } = guest.server;
    using clients = await openAll({ port });
    const old = tracker.list();
    tracker.beginEpoch();

    const clearing = tracker.clearOld(60_000, new AbortController().signal);

    expect(socketsOn(port)).toEqual({});
    const endings = await Promise.all(clients.all.map((client) => client.ended));
    expect(endings).toEqual(clients.all.map(() => "ECONNRESET"));
    expect(tracker.list()).toEqual(old);
    const newcomer = await idleHttp1(guest);
    expect(await clearing).toBe(old.length);
    expect(tracker.list()).toHaveLength(1);
    newcomer.socket.destroy();
  });

  test("tears old ones down when nobody comes in time, or somebody waits for it", async ({
    guest,
  }) => {
    const { tracker, port } = guest.server;
    for (const [patienceMs, hurry] of [
      [0, new AbortController().signal],
      [60_000, AbortSignal.abort()],
    ] as const) {
      using clients = await openAll({ port });
      guest.tick();
      tracker.beginEpoch();

      expect(await tracker.clearOld(patienceMs, hurry)).toBe(clients.all.length);

      await expect.poll(() => tracker.list()).toEqual([]);
    }
  });

  test.for([
    ["that are just being closed", false],
    ["whose client leaves its end open", true],
  ] as const)("resets connections %s", async ([, waitsForEnd], { guest }) => {
    const { tracker, port } = guest.server;
    const client = connect({ port, host: "127.0.0.1", allowHalfOpen: true });
    const failed = new Promise((resolve) => client.once("error", resolve));
    client.write(REQUEST);
    await once(client, "data");
    client.resume();
    await expect.poll(() => tracker.status()).toMatchObject([{ openRequests: 0 }]);

    tracker.quiesce();
    if (waitsForEnd) await expect.poll(() => socketsOn(port)).toEqual({ "FIN-WAIT-2": 1 });
    tracker.beginEpoch();

    expect(tracker.destroyOld()).toBe(1);
    await expect.poll(() => socketsOn(port)).toEqual({});
    client.write("x");
    await failed;
  });

  test("that begins as a connection is accepted is the connection's own", async ({ guest }) => {
    const { tracker, port } = guest.server;
    tracker.onAccept = () => tracker.beginEpoch();

    const client = await rawSocket(port);
    await expect.poll(() => tracker.list().length).toBe(1);

    expect(tracker.status()).toMatchObject([{ epoch: tracker.epoch, protocol: "sniffing" }]);
    expect(tracker.destroyOld()).toBe(0);
    client.socket.destroy();
  });
});

test("the table shows what every connection is, and what it carried", async ({ guest }) => {
  const { tracker, port } = guest.server;
  using clients = await openAll({ port });

  const table = tracker.status();

  expect(table).toHaveLength(clients.all.length);
  expect(table.filter(({ isEncrypted }) => isEncrypted)).toHaveLength(4);
  expect(table.filter(({ protocol }) => protocol === "h2")).toHaveLength(4);
  expect(table.map(({ openRequests }) => openRequests)).toEqual([0, 1, 0, 1, 0, 1, 0, 1]);
  for (const { bytesRead, bytesWritten, isEncrypted, ...connection } of table) {
    // With TLS the handshake counts as well: the certificate alone is longer than that.
    expect(bytesRead).toBeGreaterThan(isEncrypted ? 300 : 20);
    expect(bytesWritten).toBeGreaterThan(isEncrypted ? 500 : 20);
    expect(connection.sinceProgressMs).toBeLessThanOrEqual(connection.ageMs + 20);
    expect(connection.isRetiring).toBe(false);
  }
});

describe("coming to rest", () => {
  test("closes idle connections in order, counts them, and lets the others end", async ({
    guest,
  }) => {
    const { tracker, port } = guest.server;
    using clients = await openAll({ port });

    expect(tracker.quiesce()).toEqual({ closedHttp1: 2, closedH2: 2 });

    await expect.poll(() => tracker.list().length).toBe(4);
    expect(tracker.status().every(({ isRetiring }) => isRetiring)).toBe(true);
    expect(tracker.quiesce()).toEqual({ closedHttp1: 0, closedH2: 0 });
    guest.tick();
    await Promise.all(clients.all.slice(4).map((client) => client.until("tick")));
  });

  test("answers a request that has come and was not read yet", async ({ guest }) => {
    const client = await idleHttp1(guest);

    client.socket.write(REQUEST);
    guest.server.tracker.quiesce();

    const received = await client.closed;
    expect(answersOf(received)).toBe(2);
    expect(received).toContain("Connection: close");
  });

  test("answers a request of which a part has come", async ({ guest }) => {
    const client = await idleHttp1(guest);
    const readBefore = guest.server.tracker.status()[0]?.bytesRead ?? 0;
    client.socket.write(REQUEST.slice(0, 10));
    const bytesRead = () => guest.server.tracker.status()[0]?.bytesRead ?? 0;
    await expect.poll(bytesRead).toBe(readBefore + 10);

    guest.server.tracker.quiesce();
    client.socket.write(REQUEST.slice(10));

    expect(answersOf(await client.closed)).toBe(2);
  });

  test("does not wait for a request that does not come to its end", async ({ guest }) => {
    const client = await idleHttp1(guest);
    client.socket.write(REQUEST.slice(0, 10));

    guest.server.tracker.quiesce();

    await expect.poll(() => socketsOn(guest.server.port)["ESTAB"]).toBeUndefined();
    expect(answersOf(await client.closed)).toBe(1);
  });

  test("serves no request that comes too late: its client asks again elsewhere", async ({
    guest,
  }) => {
    const client = await idleHttp1(guest);

    guest.server.tracker.quiesce();
    client.socket.write(REQUEST);

    expect(answersOf(await client.closed)).toBe(1);
    expect(guest.requests).toBe(1);
  });

  test("answers a client that has only just connected, once", async ({ guest }) => {
    const { tracker, port } = guest.server;
    const client = await rawSocket(port);
    await expect.poll(() => tracker.list().length).toBe(1);

    tracker.quiesce();
    client.socket.write(REQUEST);

    expect(await client.closed).toContain("Connection: close");
    expect(guest.requests).toBe(1);
  });

  test("keeps nobody who comes, until it wakes", async ({ guest }) => {
    const { tracker, port } = guest.server;
    tracker.quiesce();
    const between = await rawSocket(port);
    between.socket.write(REQUEST);
    expect(answersOf(await between.closed)).toBe(1);

    tracker.wake();

    using clients = await openAll({ port });
    await clients.work(guest);
  });
});

describe("a probe", () => {
  test("keeps a peer that lives, and makes its connection a new one", async ({ guest }) => {
    const { tracker, port } = guest.server;
    using clients = await openAll({ port });
    tracker.beginEpoch();

    expect(await tracker.probeOld(PROBE_MS)).toEqual({ destroyed: 0, kept: clients.all.length });

    expect(tracker.status().every(({ epoch }) => epoch === tracker.epoch)).toBe(true);
    await clients.work(guest);
  });

  test("keeps a peer that is sent something all the time", async ({ guest }) => {
    const { tracker, port } = guest.server;
    using clients = await openAll({ port });
    const ticks = setInterval(() => guest.tick(), 1);
    tracker.beginEpoch();

    const result = await tracker.probeOld(PROBE_MS);

    clearInterval(ticks);
    expect(result).toEqual({ destroyed: 0, kept: clients.all.length });
  });

  test("of nobody takes no time", async ({ guest }) => {
    guest.server.tracker.beginEpoch();

    expect(await guest.server.tracker.probeOld(PROBE_MS)).toEqual({ destroyed: 0, kept: 0 });
  });

  test("leaves the port to an agent that is started again", async ({ guest }) => {
    const { tracker, port } = guest.server;
    using clients = await openAll({ port });
    tracker.beginEpoch();
    await tracker.probeOld(PROBE_MS);

    // Closed by this side first, the connections stay for a minute.
    await guest.server.close(0);
    expect(clients.all).toHaveLength(8);

    const again = new Server({
      host: "0.0.0.0",
      port,
      log: createLog("silent"),
      onRequest: () => {},
    });
    expect(await again.listen()).toBe(port);
    await again.close(0);
  });
});

const vanishing = test.extend<{ network: { namespace: Namespace; proxy: SilentProxy } }>({
  network: async ({ guest }, use) => {
    using namespace = new Namespace();
    await using proxy = await SilentProxy.start(namespace, guest.server.port);
    await use({ namespace, proxy });
  },
});

describe.skipIf(problem !== undefined)("a probe over a network", () => {
  vanishing("keeps a peer whose program stands still", async ({ guest, network: { proxy } }) => {
    using clients = await openAll(proxy);
    await proxy.hold();
    guest.server.tracker.beginEpoch();

    const result = await guest.server.tracker.probeOld(PROBE_MS);

    expect(result).toEqual({ destroyed: 0, kept: clients.all.length });
    await proxy.resume();
    await clients.work(guest);
  });

  vanishing(
    "destroys a peer that is silent, as soon as the time has passed",
    async ({ guest, network: { proxy } }) => {
      const { tracker, port } = guest.server;
      using clients = await openAll(proxy);
      await proxy.vanish();
      tracker.beginEpoch();

      const start = performance.now();
      const result = await tracker.probeOld(PROBE_MS);

      expect(performance.now() - start).toBeLessThan(PROBE_MS + 400);
      expect(result).toEqual({ destroyed: clients.all.length, kept: 0 });
      expect(socketsOn(port)).toEqual({});
    },
  );

  vanishing("ends what a peer has forgotten", async ({ guest, network: { namespace, proxy } }) => {
    const { tracker, port } = guest.server;
    using clients = await openAll(proxy);
    await proxy.vanish();
    await proxy.reset();
    namespace.show(proxy.address);
    expect(tracker.list()).toHaveLength(clients.all.length);
    tracker.beginEpoch();

    expect(await tracker.probeOld(PROBE_MS)).toMatchObject({ kept: 0 });

    await expect.poll(() => tracker.list()).toEqual([]);
    expect(socketsOn(port)).toEqual({});
  });

  vanishing(
    "ends at once when the old ones are destroyed",
    async ({ guest, network: { proxy } }) => {
      const { tracker } = guest.server;
      using clients = await openAll(proxy);
      await proxy.vanish();
      tracker.beginEpoch();
      const start = performance.now();

      const probed = tracker.probeOld(20_000);
      expect(tracker.destroyOld()).toBe(clients.all.length);

      expect(await probed).toEqual({ destroyed: 0, kept: 0 });
      expect(performance.now() - start).toBeLessThan(500);
    },
  );

  vanishing("ends at once when it is given up", async ({ guest, network: { proxy } }) => {
    using clients = await openAll(proxy);
    await proxy.vanish();
    guest.server.tracker.beginEpoch();

    const result = await guest.server.tracker.probeOld(20_000, AbortSignal.abort());

    expect(result).toEqual({ destroyed: clients.all.length, kept: 0 });
  });
});

test("a client that connects and leaves at once is nobody's", async ({ guest }) => {
  const socket = connect(guest.server.port, "127.0.0.1");
  await once(socket, "connect");
  socket.resetAndDestroy();

  await expect.poll(() => guest.server.tracker.list()).toEqual([]);
});
