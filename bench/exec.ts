import type { Agent } from "./agent.ts";
import { spawnBare, waitBare } from "./bare-spawn.ts";
import { Http1Connection } from "./http1.ts";
import type { Question } from "./question.ts";
import { runRounds, secondsOf } from "./rounds.ts";
import { percentile } from "./statistics.ts";
import type { Row } from "./table.ts";
import { checkStreamEnd, http1Request, startCall, startedPid, type Target } from "./wire.ts";

const PROGRAM = "/bin/true";
const AT_ONCE = 32;

/** What one turn of one contender gives. */
interface Figures {
  p50Ms: number;
  p99Ms: number;
  perSecond: number;
}

/** How long is a round trip of a program that does nothing, alone and 32 at once? */
export const exec: Question = async ({ agent, startAnother, isQuick, rounds }) => {
  const sequential = isQuick ? 60 : 200;
  const parallel = isQuick ? 10 : 20;
  const large = await startAnother?.({ isLarge: true });
  await using _ = large ?? noAgent;
  await using small = await clientsOf(agent);
  await using big = large === undefined ? undefined : await clientsOf(large);
  const runs = await runRounds<"agent" | "bare" | "large", Figures>(rounds, {
    agent: () => measure(small, sequential, parallel),
    bare: () => Promise.resolve(measureBare(sequential, parallel)),
    large: () =>
      big === undefined ? Promise.resolve(NOTHING) : measure(big, sequential, parallel),
  });
  const of = (name: "agent" | "bare" | "large", figure: keyof Figures) =>
    runs[name].map((figures) => figures[figure]);
  const bare = (figure: keyof Figures) => ({ name: "bare spawn", values: of("bare", figure) });
  const usual = (figure: keyof Figures) => ({ name: "usual heap", values: of("agent", figure) });
  const rows: Row[] = [
    {
      figure: "/bin/true, one at a time, p50",
      unit: "ms",
      values: of("agent", "p50Ms"),
      baseline: bare("p50Ms"),
      target: { of: "ratio", atMost: 3 },
    },
    {
      figure: "/bin/true, one at a time, p99",
      unit: "ms",
      values: of("agent", "p99Ms"),
      baseline: bare("p99Ms"),
    },
    {
      figure: `/bin/true, ${AT_ONCE} at once`,
      unit: "starts/s",
      values: of("agent", "perSecond"),
      baseline: bare("perSecond"),
    },
  ];
  if (big === undefined) return { question: QUESTION, rows, notes: [NO_LARGE_AGENT] };
  rows.push(
    {
      figure: "the same with a heap of 256 MB, p50",
      unit: "ms",
      values: of("large", "p50Ms"),
      baseline: usual("p50Ms"),
      target: { of: "ratio", atMost: 1.15 },
    },
    {
      figure: "the same with a heap of 256 MB, p99",
      unit: "ms",
      values: of("large", "p99Ms"),
      baseline: usual("p99Ms"),
    },
    {
      figure: `the same with a heap of 256 MB, ${AT_ONCE} at once`,
      unit: "starts/s",
      values: of("large", "perSecond"),
      baseline: usual("perSecond"),
    },
  );
  return { question: QUESTION, rows };
};

const QUESTION = "exec: how long does a program take that does nothing?";
const NO_LARGE_AGENT = "A large heap is only measured when the benchmark starts the agent itself.";
const NOTHING: Figures = { p50Ms: Number.NaN, p99Ms: Number.NaN, perSecond: Number.NaN };
const noAgent: AsyncDisposable = { [Symbol.asyncDispose]: () => Promise.resolve() };

/** The connections to one agent, the same in every round. */
interface Clients extends AsyncDisposable {
  request: Buffer;
  connections: Http1Connection[];
}

async function clientsOf({ target }: Agent): Promise<Clients> {
  const connections = await Promise.all(
    Array.from({ length: AT_ONCE }, () => Http1Connection.open(target)),
  );
  const request = requestFor(target);
  await checkOnce(connections[0] as Http1Connection, request);
  return {
    request,
    connections,
    [Symbol.asyncDispose]: () => {
      for (const connection of connections) connection[Symbol.dispose]();
      return Promise.resolve();
    },
  };
}

function requestFor(target: Target): Buffer {
  return http1Request(target, startCall({ process: { cmd: PROGRAM } }));
}

/** What is timed is a program that really ran and ended well. */
async function checkOnce(connection: Http1Connection, request: Buffer): Promise<void> {
  const response = await connection.exchange(request);
  startedPid(response.head);
  checkStreamEnd(response.head);
  if (!response.head.includes("exit status 0")) throw new Error(`${PROGRAM} did not end well`);
}

async function measure(clients: Clients, sequential: number, parallel: number): Promise<Figures> {
  const { request, connections } = clients;
  const only = connections[0] as Http1Connection;
  const times: number[] = [];
  for (let i = 0; i < sequential; i += 1) {
    const start = performance.now();
    await only.exchange(request);
    times.push(performance.now() - start);
  }
  const seconds = await secondsOf(() =>
    Promise.all(
      connections.map(async (connection) => {
        for (let i = 0; i < parallel; i += 1) await connection.exchange(request);
      }),
    ),
  );
  return figuresOf(times, (AT_ONCE * parallel) / seconds);
}

function measureBare(sequential: number, parallel: number): Figures {
  const times: number[] = [];
  for (let i = 0; i < sequential; i += 1) {
    const start = performance.now();
    waitBare(spawnBare(PROGRAM));
    times.push(performance.now() - start);
  }
  const start = performance.now();
  for (let i = 0; i < parallel; i += 1) {
    const children = Array.from({ length: AT_ONCE }, () => spawnBare(PROGRAM));
    for (const child of children) waitBare(child);
  }
  return figuresOf(times, (1000 * AT_ONCE * parallel) / (performance.now() - start));
}

function figuresOf(times: number[], perSecond: number): Figures {
  return { p50Ms: percentile(times, 50), p99Ms: percentile(times, 99), perSecond };
}
