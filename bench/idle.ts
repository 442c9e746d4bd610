import { Http1Connection } from "./http1.ts";
import { Http2Connection } from "./http2.ts";
import { type Memory, settledMemoryOf } from "./memory.ts";
import type { Question } from "./question.ts";
import { percentile } from "./statistics.ts";
import type { Row } from "./table.ts";
import { get, http1Request, killCall, startCall, startedPid, type Target } from "./wire.ts";

const HTTP2_CONNECTIONS = 4;
/** Streams that are opened at the same time. */
const BATCH = 25;
/** More bytes than a first frame with a pid never has. */
const START_FRAME_BYTES = 7;
const SLEEP = startCall({ process: { cmd: "sleep", args: ["600"] } });
/** Agent memory for each idle stream, in KiB. */
const PER_STREAM_KIB = 40;

/** What do streams cost on which nothing happens? */
export const idle: Question = async ({ agent: { target, pid }, isQuick }) => {
  const question = `idle: ${isQuick ? 250 : 1000} streams of \`sleep 600\``;
  if (pid === undefined) {
    return { question, rows: [], notes: ["The agent's process is not on this machine."] };
  }
  const count = isQuick ? 250 : 1000;
  const requests = isQuick ? 300 : 1000;
  // What the first streams allocate for good is not what each further one costs.
  await (await openHttp1(target, 50)).end();
  const rows: Row[] = [];
  const notes: string[] = [];
  for (const version of ["h1", "h2"] as const) {
    const before = await settledMemoryOf(pid);
    const calm = await healthTimes(target, requests);
    let streams: Streams;
    try {
      streams = await (version === "h1" ? openHttp1(target, count) : openHttp2(target, count));
    } catch (reason) {
      notes.push(`${version}: ${String(reason)}`);
      continue;
    }
    const busy = await healthTimes(target, requests);
    const during = await settledMemoryOf(pid);
    await collapse(target);
    const collapsed = await settledMemoryOf(pid);
    await streams.end();
    const after = await settledMemoryOf(pid);
    const memory = { before, during, collapsed, after };
    rows.push(...memoryRows(version, count, memory), healthRow(version, calm, busy));
  }
  return { question, rows, notes };
};

function memoryRows(
  version: string,
  count: number,
  memory: Record<"before" | "during" | "collapsed" | "after", Memory>,
): Row[] {
  const { before, during, collapsed, after } = memory;
  return [
    {
      figure: `private dirty memory per stream, ${version}`,
      unit: "KiB",
      values: [(during.privateDirty - before.privateDirty) / count],
      target: { of: "value", atMost: PER_STREAM_KIB },
    },
    {
      figure: `resident memory per stream, ${version}`,
      unit: "KiB",
      values: [(during.rss - before.rss) / count],
      target: { of: "value", atMost: PER_STREAM_KIB },
    },
    {
      figure: `private dirty memory per stream after /collapse, ${version}`,
      unit: "KiB",
      values: [(collapsed.privateDirty - before.privateDirty) / count],
    },
    {
      figure: `private dirty memory, all streams ended, ${version}`,
      unit: "MiB",
      values: [after.privateDirty / 1024],
      baseline: { name: "before", values: [before.privateDirty / 1024] },
    },
  ];
}

function healthRow(version: string, calm: number[], busy: number[]): Row {
  return {
    figure: `/health meanwhile, p99, ${version}`,
    unit: "ms",
    values: [percentile(busy, 99)],
    baseline: { name: "without streams", values: [percentile(calm, 99)] },
  };
}

/** Open streams with the pids of their programs. */
interface Streams {
  /** Kills the programs and closes the connections. */
  end(): Promise<void>;
}

async function openHttp1(target: Target, count: number): Promise<Streams> {
  const connections: Http1Connection[] = [];
  const request = http1Request(target, SLEEP);
  const pids = await inBatches(count, async () => {
    const connection = await Http1Connection.open(target);
    connections.push(connection);
    return startedPid(await connection.begin(request, START_FRAME_BYTES));
  });
  return streamsOf(target, pids, connections);
}

async function openHttp2(target: Target, count: number): Promise<Streams> {
  const connections = await Promise.all(
    Array.from({ length: HTTP2_CONNECTIONS }, () => Http2Connection.open(target)),
  );
  const pids = await inBatches(count, async (index) => {
    const connection = connections[index % HTTP2_CONNECTIONS] as Http2Connection;
    return startedPid(await connection.begin(SLEEP, START_FRAME_BYTES));
  });
  return streamsOf(target, pids, connections);
}

function streamsOf(target: Target, pids: number[], connections: Disposable[]): Streams {
  return {
    end: async () => {
      using killer = await Http1Connection.open(target);
      for (const pid of pids) await killer.exchange(http1Request(target, killCall(pid)));
      for (const connection of connections) connection[Symbol.dispose]();
    },
  };
}

async function inBatches<T>(count: number, act: (index: number) => Promise<T>): Promise<T[]> {
  const results: T[] = [];
  for (let at = 0; at < count; at += BATCH) {
    const size = Math.min(BATCH, count - at);
    results.push(...(await Promise.all(Array.from({ length: size }, (_, i) => act(at + i)))));
  }
  return results;
}

async function healthTimes(target: Target, count: number): Promise<number[]> {
  using connection = await Http1Connection.open(target);
  const request = http1Request(target, get("/health"));
  const times: number[] = [];
  for (let i = 0; i < count; i += 1) {
    const start = performance.now();
    await connection.exchange(request);
    times.push(performance.now() - start);
  }
  return times;
}

/** Asks the agent to give back what it does not need. An agent without this answers an error. */
async function collapse(target: Target): Promise<void> {
  using connection = await Http1Connection.open(target);
  await connection.exchange(http1Request(target, { ...get("/collapse"), method: "POST" }));
}
