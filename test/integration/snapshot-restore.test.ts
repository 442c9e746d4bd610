import { once } from "node:events";
import { readFileSync } from "node:fs";
import { connect } from "node:net";
import { join } from "node:path";
import { connect as connectTls } from "node:tls";
import { Code, createClient } from "@connectrpc/connect";
import { describe, expect, test as plainTest } from "vitest";
import { Process } from "../../gen/process/process_pb.js";
import { NoticedBy, Snapshot, State } from "../../gen/snapshot/snapshot_pb.js";
import { leavingNothing, startTestAgent, type TestAgent, test } from "../helpers/agent.ts";
import { makeCertificate } from "../helpers/certificate.ts";
import { type HeldConnection, hold } from "../helpers/held-connection.ts";
import { init } from "../helpers/init-client.ts";
import { socketsOn } from "../helpers/kernel-sockets.ts";
import { Namespace, namespaceProblem } from "../helpers/namespace.ts";
import { follow, text } from "../helpers/process.ts";
import { rawSocket } from "../helpers/raw-socket.ts";
import { httpVersions } from "../helpers/requests.ts";
import { runProgram } from "../helpers/run-program.ts";
import { SilentProxy } from "../helpers/silent-proxy.ts";
import { prepare, startWaiting, watch } from "../helpers/snapshots.ts";

const REPOSITORY = join(import.meta.dirname, "../..");

const problem = namespaceProblem();
if (problem !== undefined) console.warn(`peers that vanish are not tested: ${problem}`);

/** The generation as programs read it. */
function generationFile(agent: TestAgent) {
  const line = readFileSync(join(agent.config.generationDir, "generation"), "utf8");
  expect(line).toMatch(/^[^\n]+\n$/);
  return JSON.parse(line) as { generation: number; id: string; restored_at: string | null };
}

/** Shakes hands by TLS, with the `session` of a visit before. */
async function visit(port: number, session?: Buffer) {
  const options = { port, host: "127.0.0.1", rejectUnauthorized: false };
  // In this version the ticket comes with the handshake.
  const socket = connectTls({ ...options, maxVersion: "TLSv1.2", ...(session && { session }) });
  await once(socket, "secureConnect");
  const visited = { isReused: socket.isSessionReused(), session: socket.getSession() };
  socket.destroy();
  return visited;
}

const snapshotsOver = ({ transport }: HeldConnection) => createClient(Snapshot, transport);

/** Reports are of the same restore when the generation is the same. */
const status = async (agent: TestAgent) => {
  using connection = await hold("h1", agent);
  return await snapshotsOver(connection).status({});
};

describe("a restore is noticed", () => {
  test("by the first connection, before it says anything", async ({ agent }) => {
    using changes = await watch(agent);
    await prepare(agent);
    await changes.until(State.PREPARED);

    const socket = connect(agent.port, "127.0.0.1");
    const { generation, lastRestore } = await changes.until(State.RUNNING);

    expect(lastRestore).toMatchObject({ noticedBy: NoticedBy.CONNECTION, generation });
    expect(lastRestore).toMatchObject({ zombiesDestroyed: 0, connectionsKept: 2 });
    socket.destroy();
  });

  test.for([
    ["/health", "GET /health HTTP/1.1\r\nHost: guest\r\n\r\n", NoticedBy.HEALTH],
    ["/init", "POST /init HTTP/1.1\r\nHost: guest\r\nContent-Length: 2\r\n\r\n{}", NoticedBy.INIT],
  ] as const)(
    "by %s over a connection that came during Prepare, which is answered",
    async ([, request, noticedBy], { agent }) => {
      using changes = await watch(agent);
      const preparing = prepare(agent, 300);
      await changes.until(State.PREPARING);
      const between = await rawSocket(agent.port);
      await changes.until(State.PREPARED);
      await preparing;

      between.socket.write(request);
      const { lastRestore } = await changes.until(State.RUNNING);

      expect(lastRestore).toMatchObject({ noticedBy, zombiesDestroyed: 0 });
      expect(await between.closed).toMatch(/^HTTP\/1\.1 204 No Content\r\n/);
    },
  );

  test("by the RPC without any Prepare", async ({ agent }) => {
    using connection = await hold("h2", agent);
    const snapshots = snapshotsOver(connection);
    const { generation } = await snapshots.status({});

    const report = await snapshots.restore({});

    expect(report).toMatchObject({
      noticedBy: NoticedBy.CALL,
      generation: generation + 1n,
      zombiesDestroyed: 0,
      connectionsKept: 1,
    });
    expect(await snapshots.status({})).toMatchObject({
      state: State.RUNNING,
      lastRestore: report,
      connections: [{ protocol: "h2", openStreams: 1 }],
    });
  });

  test("by nothing when no Prepare came before", async ({ agent }) => {
    const before = await status(agent);

    await fetch(`${agent.url}/health`);
    await init(agent);

    const after = await status(agent);
    expect(after.generation).toBe(before.generation);
    expect(after.lastRestore).toBeUndefined();
  });
});

describe("the RPC Restore", () => {
  test("answers with the same report again, and a restore is run once", async ({ agent }) => {
    await prepare(agent);
    using connection = await hold("h1", agent);
    const snapshots = snapshotsOver(connection);

    const first = await snapshots.restore({});
    const second = await snapshots.restore({});
    const third = await agent.client(Snapshot, "h2-proto").restore({ aborted: true });

    expect(second).toEqual(first);
    expect(third).toEqual(first);
    expect((await snapshots.status({})).generation).toBe(first.generation);
  });

  test("says the same to callers at the same time", async ({ agent }) => {
    await prepare(agent);

    const reports = await Promise.all(
      ["h1", "h2", "h1"].map(async (version) => {
        using connection = await hold(version as "h1" | "h2", agent);
        return await snapshotsOver(connection).restore({});
      }),
    );

    expect(new Set(reports.map(({ generation }) => generation)).size).toBe(1);
    expect(new Set(reports.map(({ noticedBy }) => noticedBy)).size).toBe(1);
  });

  test("ends the wait for a pause at once", async ({ agent }) => {
    await prepare(agent);

    await agent.client(Snapshot).restore({ aborted: true });

    const { state, awake } = await status(agent);
    expect(state).toBe(State.RUNNING);
    expect(awake.filter((why) => why.includes("pause"))).toEqual([]);
  });

  test.for(httpVersions)(
    "keeps live connections over %s when the pause was aborted",
    async (version, { agent }) => {
      using busy = await hold(version, agent);
      const program = await startWaiting(agent, busy);
      await prepare(agent);

      const report = await agent.client(Snapshot).restore({ aborted: true });

      expect(report).toMatchObject({ zombiesDestroyed: 0, connectionsKept: 2 });
      await program.finish();
      expect(text(await program.rest(), "stdout")).toBe("as if nothing had been\n");
    },
  );

  test("keeps live connections however often pauses are aborted", async ({ agent }) => {
    using busy = await hold("h1", agent);
    const program = await startWaiting(agent, busy);

    for (let pause = 0; pause < 3; pause += 1) {
      await prepare(agent);
      using asking = await hold("h1", agent);
      const report = await snapshotsOver(asking).restore({ aborted: true });
      expect(report).toMatchObject({ zombiesDestroyed: 0, connectionsKept: 2 });
    }

    await program.finish();
    expect(text(await program.rest(), "stdout")).toBe("as if nothing had been\n");
  });

  test("keeps a connection whose client has yet to read the end", async ({ agent }) => {
    using busy = await hold("h2", agent);
    const program = await startWaiting(agent, busy);
    await prepare(agent);
    await program.finish();
    await expect.poll(() => socketsOn(agent.port)["FIN-WAIT-2"]).toBe(1);

    const report = await agent.client(Snapshot).restore({ aborted: true });

    expect(report).toMatchObject({ zombiesDestroyed: 0, connectionsKept: 2 });
    expect(text(await program.rest(), "stdout")).toBe("as if nothing had been\n");
    expect(await busy.ended).toBe("closed");
  });

  test("says truthfully whether the kernel took the entropy", async ({ agent }) => {
    const snapshots = agent.client(Snapshot);
    const capabilities = /CapEff:\s+(\S+)/.exec(readFileSync("/proc/self/status", "utf8"))?.[1];
    const mayCredit = ((BigInt(`0x${capabilities}`) >> 21n) & 1n) === 1n;

    expect((await snapshots.restore({})).entropyAccepted).toBeUndefined();
    expect((await snapshots.restore({ entropy: new Uint8Array(4_096) })).entropyAccepted).toBe(
      mayCredit,
    );
    expect((await snapshots.restore({})).entropyAccepted).toBeUndefined();
  });

  test("refuses more entropy than 4,096 bytes, and restores nothing", async ({ agent }) => {
    const { generation } = await status(agent);

    const call = agent.client(Snapshot).restore({ entropy: new Uint8Array(4_097) });

    await expect(call).rejects.toMatchObject({ code: Code.InvalidArgument });
    expect((await status(agent)).generation).toBe(generation);
  });

  test("needs the token, as Status and Watch do", async ({ agent }) => {
    await init(agent, { accessToken: "secret" });
    const { restore, status: ask, watch: follow } = agent.client(Snapshot);

    await expect(restore({})).rejects.toMatchObject({ code: Code.Unauthenticated });
    await expect(ask({})).rejects.toMatchObject({ code: Code.Unauthenticated });
    const changes = follow({})[Symbol.asyncIterator]();
    await expect(changes.next()).rejects.toMatchObject({ code: Code.Unauthenticated });
  });
});

describe("a generation", () => {
  test("is told by a file and by Status, the same", async ({ agent }) => {
    await expect.poll(async () => (await status(agent)).generationFile).not.toBe("");

    const { generation, generationId, generationFile: path } = await status(agent);

    expect(path).toBe(join(agent.config.generationDir, "generation"));
    expect(generationFile(agent)).toEqual({
      generation: Number(generation),
      id: generationId,
      restored_at: null,
    });
  });

  test("is a new one after each restore, with another id", async ({ agent }) => {
    await expect.poll(async () => (await status(agent)).generationFile).not.toBe("");
    const seen = [generationFile(agent)];
    for (let round = 0; round < 3; round += 1) {
      await prepare(agent);
      const { generation } = await status(agent);
      await expect.poll(() => generationFile(agent).generation).toBe(Number(generation));
      seen.push(generationFile(agent));
    }

    expect(seen.map(({ generation }) => generation)).toEqual([1, 2, 3, 4]);
    expect(new Set(seen.map(({ id }) => id)).size).toBe(4);
    expect(Date.parse(seen[3]?.restored_at ?? "")).toBeGreaterThan(Date.now() - 60_000);
  });
});

describe("Status", () => {
  test("shows every connection, and what it is doing", async ({ agent }) => {
    using idle = await hold("h1", agent);
    using busy = await hold("h2", agent);
    const program = await startWaiting(agent, busy);
    using asking = await hold("h2", agent);

    const { connections, epoch, awake, time } = await snapshotsOver(asking).status({});

    const peer = ({ socket }: HeldConnection) => `127.0.0.1:${socket.localPort}`;
    expect(
      connections.map(({ remoteAddress, protocol, openStreams }) => [
        remoteAddress.replace("::ffff:", ""),
        protocol,
        openStreams,
      ]),
    ).toEqual([
      [peer(idle), "http1", 0],
      [peer(busy), "h2", 1],
      [peer(asking), "h2", 1],
    ]);
    for (const connection of connections) {
      expect(connection).toMatchObject({ epoch, encrypted: false, retiring: false });
      expect(connection.bytesRead).toBeGreaterThan(0n);
      expect(connection.bytesWritten).toBeGreaterThan(0n);
    }
    expect(awake).toContainEqual(expect.stringMatching(/^connections: 3 are open/));
    expect(Math.abs(Number(time?.seconds) - Date.now() / 1_000)).toBeLessThan(60);
    await program.finish();
    await program.rest();
  });

  test("shows a connection that stays after the restore as a new one", async ({ agent }) => {
    using busy = await hold("h2", agent);
    const program = await startWaiting(agent, busy);
    await prepare(agent);

    using asking = await hold("h1", agent);
    await snapshotsOver(asking).restore({ aborted: true });
    const { connections, epoch } = await snapshotsOver(asking).status({});

    expect(connections).toMatchObject([
      { epoch, retiring: true, openStreams: 1 },
      { epoch, retiring: false, openStreams: 1 },
    ]);
    await program.finish();
    await program.rest();
  });

  describe("with a certificate", () => {
    test.override({ config: { tls: makeCertificate() } });

    test.for([
      ["h1-proto", "http1"],
      ["h2-proto", "h2"],
    ] as const)("shows that a connection is encrypted: %s", async ([way, protocol], { agent }) => {
      const { connections } = await agent.client(Snapshot, way).status({});

      expect(connections).toMatchObject([{ protocol, encrypted: true, openStreams: 1 }]);
    });

    test("takes no session ticket of the life before", async ({ agent }) => {
      const { session } = await visit(agent.port);
      expect(await visit(agent.port, session)).toMatchObject({ isReused: true });

      await agent.client(Snapshot).restore({});

      expect(await visit(agent.port, session)).toMatchObject({ isReused: false });
    });
  });

  test("shows the table to buf curl", async ({ agent }) => {
    using idle = await hold("h1", agent);
    const url = `${agent.url}/snapshot.Snapshot/Status`;

    const { code, stdout } = await runProgram(
      join(REPOSITORY, "node_modules/.bin/buf"),
      ["curl", "--http2-prior-knowledge", "--data", "{}", url],
      { cwd: REPOSITORY, env: { BUF_CACHE_DIR: join(agent.directory, "buf") } },
    );

    expect(code).toBe(0);
    expect(JSON.parse(stdout)).toMatchObject({
      state: "STATE_RUNNING",
      generation: "1",
      connections: [
        { protocol: "http1", remoteAddress: expect.stringContaining(`:${idle.socket.localPort}`) },
        { protocol: "h2", openStreams: expect.any(Number) },
      ],
    });
  });
});

describe.skipIf(problem !== undefined)("a peer that vanished", () => {
  /** One agent, and proxies to it: one that stays, one that hangs, one that vanishes. */
  const vanishing = plainTest.extend<{
    agent: TestAgent;
    live: SilentProxy;
    hung: SilentProxy;
    gone: SilentProxy;
    namespace: Namespace;
  }>({
    // oxlint-disable-next-line no-empty-pattern -- vitest reads what a fixture needs from here
    namespace: async ({}, use) => {
      using namespace = new Namespace();
      await use(namespace);
    },
    // oxlint-disable-next-line no-empty-pattern -- vitest reads what a fixture needs from here
    agent: async ({}, use) => {
      await leavingNothing(async () => {
        await using agent = await startTestAgent({ host: "0.0.0.0" });
        await use(agent);
      });
    },
    live: async ({ namespace, agent }, use) => {
      await using proxy = await SilentProxy.start(namespace, agent.port);
      await use(proxy);
    },
    hung: async ({ namespace, agent }, use) => {
      await using proxy = await SilentProxy.start(namespace, agent.port);
      await use(proxy);
    },
    gone: async ({ namespace, agent }, use) => {
      await using proxy = await SilentProxy.start(namespace, agent.port);
      await use(proxy);
    },
  });

  const follows = async (connection: HeldConnection, pid: number) =>
    await follow(
      createClient(Process, connection.transport).connect({
        process: { selector: { case: "pid", value: pid } },
      }),
    );

  vanishing.for(httpVersions)(
    "is destroyed by RST over %s, and nobody else",
    async (version, { agent, live, hung, gone }) => {
      using own = await hold(version, live);
      const program = await startWaiting(agent, own);
      using hanging = await hold(version, hung);
      await follows(hanging, program.pid);
      using vanished = await hold(version, gone);
      await follows(vanished, program.pid);
      await prepare(agent);
      await hung.hold();
      await gone.vanish();

      using asking = await hold(version, agent);
      const snapshots = snapshotsOver(asking);
      const since = performance.now();
      const report = await snapshots.restore({ aborted: true });

      expect(performance.now() - since).toBeLessThan(1_500);
      expect(report).toMatchObject({ zombiesDestroyed: 1, connectionsKept: 3 });
      expect(socketsOn(agent.port, asking.socket.localPort)["ESTAB"]).toBe(2);
      expect(socketsOn(agent.port)["FIN-WAIT-1"]).toBeUndefined();
      const peers = (await snapshots.status({})).connections.map((one) => one.remoteAddress);
      expect(peers.filter((peer) => peer.includes(gone.address))).toEqual([]);
      expect(peers.filter((peer) => peer.includes(hung.address))).toHaveLength(1);
      await program.finish();
      expect(text(await program.rest(), "stdout")).toBe("as if nothing had been\n");
    },
  );

  vanishing("is destroyed with no Prepare at all, idle or busy", async ({ agent, live, gone }) => {
    using own = await hold("h2", live);
    const program = await startWaiting(agent, own);
    const lost = await Promise.all(httpVersions.map((version) => hold(version, gone)));
    const [, busy] = await Promise.all(httpVersions.map((version) => hold(version, gone)));
    if (busy !== undefined) await follows(busy, program.pid);
    await gone.vanish();

    using asking = await hold("h1", agent);
    const report = await snapshotsOver(asking).restore({});

    expect(report).toMatchObject({ zombiesDestroyed: 4, connectionsKept: 2 });
    expect(socketsOn(agent.port)).toEqual({ ESTAB: 2 });
    await program.finish();
    expect(text(await program.rest(), "stdout")).toBe("as if nothing had been\n");
    for (const connection of lost) connection[Symbol.dispose]();
  });

  vanishing(
    "before Prepare is a blocker by name, and is gone after the restore",
    async ({ agent, gone }) => {
      using _ = await hold("h1", gone);
      await gone.vanish();

      const { report } = await prepare(agent, 100);
      using asking = await hold("h1", agent);
      const restored = await snapshotsOver(asking).restore({});

      expect(report.blockers).toEqual(["1 socket is in FIN-WAIT-1"]);
      expect(restored).toMatchObject({ zombiesDestroyed: 1, connectionsKept: 1 });
      expect(socketsOn(agent.port)["FIN-WAIT-1"]).toBeUndefined();
    },
  );

  vanishing("and is back before the restore has lost nothing", async ({ agent, gone }) => {
    using own = await hold("h2", gone);
    const program = await startWaiting(agent, own);
    await prepare(agent);
    await gone.vanish();
    await program.finish();

    await gone.resume();
    const report = await agent.client(Snapshot).restore({ aborted: true });

    expect(report).toMatchObject({ zombiesDestroyed: 0 });
    expect(text(await program.rest(), "stdout")).toBe("as if nothing had been\n");
  });

  vanishing("does not delay who asks", async ({ agent, gone }) => {
    const lost = await Promise.all(Array.from({ length: 20 }, () => hold("h1", gone)));
    await gone.vanish();
    await prepare(agent, 0);

    const since = performance.now();
    const health = await fetch(`http://127.0.0.1:${agent.port}/health`);
    const healthMs = performance.now() - since;

    expect(health.status).toBe(204);
    expect(healthMs).toBeLessThan(500);
    for (const connection of lost) connection[Symbol.dispose]();
  });

  vanishing(
    "by a reset or with half of its connection closes here too",
    async ({ agent, live }) => {
      using one = await hold("h1", live);
      await live.reset();
      await one.ended;

      using other = await hold("h2", live);
      await live.halfClose();
      await other.ended;

      await expect.poll(() => agent.connections()).toBe(0);
    },
  );
});
