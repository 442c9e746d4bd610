import { createClient } from "@connectrpc/connect";
import { expect } from "vitest";
import { Process } from "../../gen/process/process_pb.js";
import { type PrepareResponse, Snapshot, State } from "../../gen/snapshot/snapshot_pb.js";
import { leftovers, type TestAgent, test } from "../helpers/agent.ts";
import { type HeldConnection, hold } from "../helpers/held-connection.ts";
import { socketsIn, socketsOn } from "../helpers/kernel-sockets.ts";
import { type Followed, follow, shell, text } from "../helpers/process.ts";
import { type HttpVersion, httpVersions } from "../helpers/requests.ts";

const ROUNDS = Number(process.env["THAW_ROUNDS"] ?? 6);
const SEED = Number(process.env["THAW_SEED"] ?? Date.now() % 1_000_000);
const CONNECTIONS = 200;

/** The same numbers for the same seed, from 0 up to `below`. */
function randomNumbers(seed: number): (below: number) => number {
  let state = seed;
  return (below) => {
    // mulberry32
    state = (state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return ((mixed ^ (mixed >>> 14)) >>> 0) % below;
  };
}

/** What a connection is to be. */
interface Kind {
  version: HttpVersion;
  isActive: boolean;
}

/** A connection that follows a program when it is active. */
interface Member {
  connection: HeldConnection;
  stream: Followed | undefined;
}

async function join(agent: TestAgent, kind: Kind, program: Followed): Promise<Member> {
  const connection = await hold(kind.version, agent);
  if (!kind.isActive) return { connection, stream: undefined };
  const client = createClient(Process, connection.transport);
  return { connection, stream: await follow(client.connect({ process: program.selector })) };
}

/** Prepares over a connection of its own, and compares the report with what `ss` counts. */
async function prepareAndCompare(agent: TestAgent): Promise<PrepareResponse> {
  using carrier = await hold("h1", agent);
  const report = await createClient(Snapshot, carrier.transport).prepare({});
  const { "TIME-WAIT": reported = 0, ...sockets } = socketsIn(report);
  const { "TIME-WAIT": left = 0, ...counted } = socketsOn(agent.port, carrier.socket.localPort);
  expect(sockets).toEqual(counted);
  // Those of a minute ago go as time passes.
  expect(reported).toBeGreaterThanOrEqual(left);
  expect(await carrier.ended).toBe("closed");
  return report;
}

/** Idle connections of one kind. */
const idleOf = (members: Member[], version: string) =>
  members.filter((one) => one.stream === undefined && one.connection.version === version);

test(`${CONNECTIONS} connections, ${ROUNDS} times prepared at any moment, seed ${SEED}`, {
  timeout: 10_000 + ROUNDS * 5_000,
}, async ({ agent }) => {
  console.info(`THAW_SEED=${SEED} THAW_ROUNDS=${ROUNDS} repeats this`);
  const random = randomNumbers(SEED);
  const program = await follow(agent.process("h2-proto").start(shell("exec cat")));
  let members: Member[] = [];
  const baseline = leftovers().descriptors.length;

  for (let round = 0; round < ROUNDS; round += 1) {
    // In every other round Prepare comes while they are coming, after so many of them.
    const isCalm = round % 2 === 0;
    const early = isCalm ? CONNECTIONS : random(CONNECTIONS);
    let come = 0;
    let isTime: () => void = () => {};
    const moment = new Promise<void>((resolve) => (isTime = resolve));
    const joining = Array.from({ length: CONNECTIONS }, async () => {
      const kind = { version: httpVersions[random(2)] ?? "h1", isActive: random(2) === 1 };
      const member = await join(agent, kind, program);
      come += 1;
      if (come >= early) isTime();
      return member;
    });
    const settling = Promise.allSettled(joining);
    await Promise.race([moment, settling]);

    const report = await (isCalm ? prepareAndCompare(agent) : prepareAmid(agent));
    members = (await settling).flatMap((one) => (one.status === "fulfilled" ? [one.value] : []));

    if (isCalm) {
      // One more stream is the program's own.
      const streams = members.filter(({ stream }) => stream !== undefined).length + 1;
      expect(members).toHaveLength(CONNECTIONS);
      expect(report).toMatchObject({
        closedHttp1: idleOf(members, "h1").length,
        closedH2: idleOf(members, "h2").length,
        openStreams: streams,
        processes: 1,
        blockers: [`${streams} streams are open`],
      });
    }
    using host = await hold("h2", agent);
    const snapshots = createClient(Snapshot, host.transport);
    expect(await snapshots.restore({ aborted: true })).toMatchObject({ zombiesDestroyed: 0 });

    // Whoever was in the middle of something has lost nothing by it.
    const active = members.flatMap((one) => one.stream ?? []);
    const line = `round ${round}\n`;
    await createClient(Process, host.transport).sendInput({
      process: program.selector,
      input: { input: { case: "stdin", value: Buffer.from(line) } },
    });
    await Promise.all(
      active.map((stream) => stream.until((events) => text(events, "stdout").includes(line))),
    );
    for (const { connection } of members) connection[Symbol.dispose]();
    await expect
      .poll(async () => (await snapshots.status({})).connections.length, { timeout: 5_000 })
      .toBeLessThanOrEqual(3);
  }

  using last = await hold("h1", agent);
  const status = await createClient(Snapshot, last.transport).status({});
  expect(status).toMatchObject({ state: State.RUNNING, generation: BigInt(ROUNDS + 1) });
  last[Symbol.dispose]();
  await expect
    .poll(() => leftovers().descriptors.length, { timeout: 5_000 })
    .toBeLessThanOrEqual(baseline + 4);
});

/** Prepares while others come and go: the report is one moment's, so that nothing is compared. */
async function prepareAmid(agent: TestAgent): Promise<PrepareResponse> {
  using carrier = await hold("h1", agent);
  return await createClient(Snapshot, carrier.transport).prepare({});
}
