import { once } from "node:events";
import { readFileSync } from "node:fs";
import { connect as connectHttp2, type IncomingHttpHeaders } from "node:http2";
import { connect } from "node:net";
import { join } from "node:path";
import { create } from "@bufbuild/protobuf";
import { type Duration, durationMs } from "@bufbuild/protobuf/wkt";
import { Code, createClient } from "@connectrpc/connect";
import { describe, expect, test as plainTest } from "vitest";
import { Process } from "../../gen/process/process_pb.js";
import {
  PrepareRequestSchema,
  type PrepareResponse,
  Snapshot,
  State,
  type StatusResponse,
} from "../../gen/snapshot/snapshot_pb.js";
import { startTestAgent, test } from "../helpers/agent.ts";
import { hold } from "../helpers/held-connection.ts";
import { init } from "../helpers/init-client.ts";
import { socketsIn, socketsOn } from "../helpers/kernel-sockets.ts";
import { follow, shell, text } from "../helpers/process.ts";
import { rawSocket } from "../helpers/raw-socket.ts";
import { httpVersions } from "../helpers/requests.ts";
import { prepare, startWaiting, watch } from "../helpers/snapshots.ts";

/**
 * Prepare waits for a second, and the clients of these tests share two processors with many others:
 * their ends of what it closes may take longer to go.
 */
const PATIENT = { retry: 4 };

const POST = "POST /snapshot/prepare HTTP/1.1\r\nHost: guest\r\nContent-Length: 0\r\n\r\n";

function ms(duration: Duration | undefined): number {
  if (duration === undefined) throw new Error("there is no duration");
  return durationMs(duration);
}

const countsOf = ({ closedHttp1, closedH2, openStreams, uploads, processes }: PrepareResponse) => ({
  closedHttp1,
  closedH2,
  openStreams,
  uploads,
  processes,
});
const NOTHING = { closedHttp1: 0, closedH2: 0, openStreams: 0, uploads: 0, processes: 0 };

describe("POST /snapshot/prepare", () => {
  test("is answered with nothing over h1, and closes the connection", async ({ agent }) => {
    const { socket, closed } = await rawSocket(agent.port);
    socket.write(POST);

    const answer = await closed;

    expect(answer).toMatch(/^HTTP\/1\.1 204 No Content\r\n/);
    expect(answer).toMatch(/\r\ncache-control: no-store\r\n/i);
    expect(answer).toMatch(/\r\nconnection: close\r\n/i);
    expect(answer).toMatch(/\r\n\r\n$/);
  });

  test("is answered with nothing over h2, and closes the connection", async ({ agent }) => {
    const session = connectHttp2(agent.url);
    const closed = once(session, "close");
    const goodbye = once(session, "goaway") as Promise<[number]>;
    const stream = session.request({ ":method": "POST", ":path": "/snapshot/prepare" });
    stream.end();
    stream.resume();
    const [headers] = (await once(stream, "response")) as [IncomingHttpHeaders];

    expect(headers).toMatchObject({ ":status": 204, "cache-control": "no-store" });
    expect((await goodbye)[0]).toBe(0);
    await closed;
  });

  test("needs no token", async ({ agent }) => {
    await init(agent, { accessToken: "secret" });

    const response = await fetch(`${agent.url}/snapshot/prepare`, { method: "POST" });

    expect(response.status).toBe(204);
  });

  test("does what the RPC does, and Status tells its report", async ({ agent }) => {
    using idle = await hold("h1", agent);

    await fetch(`${agent.url}/snapshot/prepare`, { method: "POST" });

    expect(await idle.ended).toBe("closed");
    const { lastPrepare } = await agent.client(Snapshot).status({});
    expect(lastPrepare).toMatchObject({ quiescent: true, closedHttp1: 1, closedH2: 0 });
  });
});

test("the RPC needs the token, as every RPC", PATIENT, async ({ agent }) => {
  await init(agent, { accessToken: "secret" });
  const { prepare: call } = agent.client(Snapshot);

  await expect(call({})).rejects.toMatchObject({ code: Code.Unauthenticated });

  expect(await call({}, { headers: { "X-Access-Token": "secret" } })).toMatchObject({
    quiescent: true,
  });
});

test(
  "idle connections are closed and counted, and the kernel has none left",
  PATIENT,
  async ({ agent }) => {
    const held = await Promise.all(
      (["h1", "h1", "h1", "h2", "h2"] as const).map((version) => hold(version, agent)),
    );

    const { report, localPort, ending } = await prepare(agent);

    expect(await Promise.all(held.map(({ ended }) => ended))).toEqual(Array(5).fill("closed"));
    expect(ending).toBe("closed");
    expect(countsOf(report)).toEqual({ ...NOTHING, closedHttp1: 3, closedH2: 2 });
    expect(report.blockers).toEqual([]);
    expect(report.quiescent).toBe(true);
    expect(socketsIn(report)).toEqual(socketsOn(agent.port, localPort));
    expect(Object.keys(socketsIn(report))).toEqual(["TIME-WAIT"]);
  },
);

test.for(httpVersions)(
  "an answer under way over %s goes on, then the connection closes",
  async (version, { agent }) => {
    using busy = await hold(version, agent);
    const program = await startWaiting(agent, busy);

    const { report, localPort } = await prepare(agent);

    expect(countsOf(report)).toEqual({ ...NOTHING, openStreams: 1, processes: 1 });
    expect(report.quiescent).toBe(false);
    expect(report.blockers).toEqual(["1 stream is open"]);
    expect(socketsIn(report)).toEqual({ ESTAB: 1 });
    expect(socketsOn(agent.port, localPort)).toEqual({ ESTAB: 1 });
    expect(busy.ending).toBeUndefined();
    await program.finish();
    expect(text(await program.rest(), "stdout")).toBe("as if nothing had been\n");
    expect(await busy.ended).toBe("closed");
  },
);

test("streams that share a connection are counted each", PATIENT, async ({ agent }) => {
  using busy = await hold("h2", agent);
  const client = createClient(Process, busy.transport);
  const one = await startWaiting(agent, busy);
  const two = await follow(client.connect({ process: one.selector }));

  const { report } = await prepare(agent);

  expect(countsOf(report)).toEqual({ ...NOTHING, openStreams: 2, processes: 1 });
  expect(report.blockers).toEqual(["2 streams are open"]);
  await one.finish();
  expect(text(await one.rest(), "stdout")).toBe("as if nothing had been\n");
  expect(text(await two.rest(), "stdout")).toBe("as if nothing had been\n");
});

test("a program that nobody follows is counted and blocks nothing", PATIENT, async ({ agent }) => {
  const leaving = new AbortController();
  const { signal } = leaving;
  await follow(agent.process("h2-proto").start(shell("exec sleep 1000"), { signal }));
  leaving.abort();
  await expect
    .poll(async () => (await agent.client(Snapshot).status({})).connections)
    .toSatisfy((open: StatusResponse["connections"]) => open.every((one) => one.openStreams <= 1));

  const { report } = await prepare(agent);

  expect(report).toMatchObject({ quiescent: true, openStreams: 0, processes: 1 });
});

test("an upload in flight is a blocker, and ends well", PATIENT, async ({ agent }) => {
  const path = join(agent.directory, "uploaded");
  const upload = await rawSocket(agent.port);
  upload.socket.write(
    `POST /files?path=${path} HTTP/1.1\r\nHost: guest\r\nContent-Type: application/octet-stream\r\nContent-Length: 10\r\n\r\nfirst`,
  );
  const bytesRead = async () =>
    (await agent.client(Snapshot).status({})).connections.at(0)?.openStreams;
  await expect.poll(bytesRead).toBe(1);

  const { report } = await prepare(agent);

  expect(countsOf(report)).toMatchObject({ openStreams: 1, uploads: 1 });
  expect(report.quiescent).toBe(false);
  expect(report.blockers).toEqual(["1 stream is open", "1 file is being uploaded"]);
  upload.socket.write("later");
  expect(await upload.closed).toMatch(/^HTTP\/1\.1 200 OK\r\n/);
  expect(readFileSync(path, "utf8")).toBe("firstlater");
  expect((await prepare(agent)).report).toMatchObject({ uploads: 0, quiescent: true });
});

test(
  "keep-alive is off for who comes between, and on again after the restore",
  PATIENT,
  async ({ agent }) => {
    using changes = await watch(agent);
    using stuck = await halfOpen(agent.port);
    const preparing = prepare(agent, 2_500);
    await changes.until(State.PREPARING);

    const { socket, closed } = await rawSocket(agent.port);
    socket.write("GET /health HTTP/1.1\r\nHost: guest\r\n\r\n");
    const answer = await closed;
    stuck.end();
    const { report } = await preparing;

    expect(answer).toMatch(/^HTTP\/1\.1 204 No Content\r\n/);
    expect(answer).toMatch(/\r\nconnection: close\r\n/i);
    expect(report.blockers).toEqual(["1 stream is open"]);
    using later = await hold("h1", agent);
    await later.ask();
    expect(later.ending).toBeUndefined();
  },
);

/** An idle connection whose client does not close its end before it is told to. */
async function halfOpen(port: number) {
  const socket = connect({ port, host: "127.0.0.1", allowHalfOpen: true });
  socket.on("error", () => {});
  socket.write("GET /health HTTP/1.1\r\nHost: guest\r\n\r\n");
  await once(socket, "data");
  return {
    end: () => socket.end(),
    [Symbol.dispose]: () => {
      socket.destroy();
    },
  };
}

// A machine that is busy with something else takes longer than the upper limits say.
describe("a client that leaves its end open", PATIENT, () => {
  test("is a blocker after the time that was given", async ({ agent }) => {
    using _ = await halfOpen(agent.port);

    const { report, localPort } = await prepare(agent, 300);

    expect(report.quiescent).toBe(false);
    expect(report.blockers).toEqual(["1 socket is in FIN-WAIT-2"]);
    expect(countsOf(report)).toEqual({ ...NOTHING, closedHttp1: 1 });
    expect(socketsIn(report)).toEqual(socketsOn(agent.port, localPort));
    expect(ms(report.elapsed)).toBeGreaterThanOrEqual(300);
    expect(ms(report.elapsed)).toBeLessThan(2_500);
  });

  test("is not waited for when no time is given", async ({ agent }) => {
    using _ = await halfOpen(agent.port);

    const { report } = await prepare(agent, 0);

    expect(report.quiescent).toBe(false);
    expect(ms(report.elapsed)).toBeLessThan(900);
  });

  plainTest.concurrent("is waited for 2.5 s when more is asked for", async () => {
    await using agent = await startTestAgent();
    using _ = await halfOpen(agent.port);

    const { report } = await prepare(agent, 3_600_000);

    expect(ms(report.elapsed)).toBeGreaterThanOrEqual(2_500);
    expect(ms(report.elapsed)).toBeLessThan(5_000);
  });

  plainTest.concurrent("is waited for 1 s when nothing is asked for", async () => {
    await using agent = await startTestAgent();
    using _ = await halfOpen(agent.port);

    const { report } = await prepare(agent);

    expect(ms(report.elapsed)).toBeGreaterThanOrEqual(1_000);
    expect(ms(report.elapsed)).toBeLessThan(2_400);
  });
});

test("a time less than nothing is refused, and nothing is prepared", PATIENT, async ({ agent }) => {
  using carrier = await hold("h1", agent);
  const request = create(PrepareRequestSchema, { timeout: { seconds: -1n, nanos: 0 } });

  const call = createClient(Snapshot, carrier.transport).prepare(request);

  await expect(call).rejects.toMatchObject({ code: Code.InvalidArgument });
  await carrier.ask();
  expect(await createClient(Snapshot, carrier.transport).status({})).toMatchObject({
    state: State.RUNNING,
  });
});

test(
  "calls at the same time share one report, and none of them is its blocker",
  PATIENT,
  async ({ agent }) => {
    const reports = await Promise.all([1, 2, 3].map(() => prepare(agent)));

    const [first] = reports;
    for (const { report, ending } of reports) {
      expect(report).toEqual(first?.report);
      expect(report.blockers).toEqual([]);
      expect(ending).toBe("closed");
    }
  },
);

test("a second call prepares again", PATIENT, async ({ agent }) => {
  await prepare(agent);
  using _ = await hold("h2", agent);

  const { report } = await prepare(agent);

  expect(report).toMatchObject({ quiescent: true, closedH2: 1 });
});

test(
  "the state is told as it changes, and nothing but the pause keeps it awake",
  PATIENT,
  async ({ agent }) => {
    using changes = await watch(agent);
    const preparing = prepare(agent);

    const { lastPrepare } = await changes.until(State.PREPARING);
    const prepared = await changes.until(State.PREPARED);
    const { report } = await preparing;

    expect(lastPrepare).toBeUndefined();
    expect(prepared.awake.filter((why) => why.startsWith("snapshot:"))).toEqual([
      "snapshot: a pause is awaited",
    ]);
    expect(prepared.lastPrepare).toEqual(report);
  },
);
