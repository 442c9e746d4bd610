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
/** Streams that are opened and ended before anything is measured. */
const WARM_UP = 100;
const HEALTH_REQUESTS = 1000;
/** More bytes than a first frame with a pid never has. */
const START_FRAME_BYTES = 7;
const SLEEP = startCall({ process: { cmd: "sleep", args: ["600"] } });
/** Agent memory for each idle stream, in KiB. */
const PER_STREAM_KIB = 40;

/** What do streams cost on which nothing happens? */
export const idle: Question = async (setting) => {
  const count = setting.isQuick ? 250 : 1000;
  const question = `idle: ${count} streams of \`sleep 600\``;
  const rows: Row[] = [];
  const notes: string[] = [];
  for (const version of ["h1", "h2"] as const) {
    // One agent for each, so that none inherits what the other left.
    await using fresh = await setting.startAnother?.({});
    const { target, pid } = fresh ?? setting.agent;
    if (pid === undefined) notes.push("The agent's process is not on this machine.");
    else
      rows.push(...(await measure({ target, pid, version, count }).catch(noted(notes, version))));
  }
  return { question, rows, notes };
};

/** An agent that may not speak HTTP/2 has no rows for it. */
function noted(notes: string[], version: string): (reason: unknown) => Row[] {
  return (reason) => {
    notes.push(`${version}: ${String(reason)}`);
    return [];
  };
}

interface Scene {
  target: Target;
  pid: number;
  version: "h1" | "h2";
  count: number;
}

async function measure({ target, pid, version, count }: Scene): Promise<Row[]> {
  const open = version === "h1" ? openHttp1 : openHttp2;
  // What the first streams allocate for good is not what each further one costs.
  await (await open(target, WARM_UP)).end();
  const before = await settledMemoryOf(pid);
  const calm = await healthTimes(target);
  const streams = await open(target, count);
  const busy = await healthTimes(target);
  const during = await settledMemoryOf(pid);
  await collapse(target);
  const held = await settledMemoryOf(pid);
  await streams.end();
  const after = await settledMemoryOf(pid);
  await collapse(target);
  const left = await settledMemoryOf(pid);
  const memory = { before, during, held, after, left };
  return [...memoryRows(version, count, memory), healthRow(version, calm, busy)];
}

/** What the agent holds: before, with streams, with streams and no garbage, after, without garbage. */
type Memories = Record<"before" | "during" | "held" | "after" | "left", Memory>;

function memoryRows(version: string, count: number, memories: Memories): Row[] {
  const { before, during, held, after, left } = memories;
  const perStream = (figure: string, kib: number): Row => ({
    figure: `${figure} per stream, ${version}`,
    unit: "KiB",
    values: [kib / count],
    target: { of: "value", atMost: PER_STREAM_KIB },
  });
  return [
    perStream("private dirty memory", during.privateDirty - before.privateDirty),
    perStream("resident memory", during.rss - before.rss),
    perStream("private dirty memory without garbage", held.privateDirty - left.privateDirty),
    {
      figure: `private dirty memory once all streams ended, ${version}`,
      unit: "MiB",
      values: [after.privateDirty / 1024],
      baseline: { name: "before them", values: [before.privateDirty / 1024] },
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

async function healthTimes(target: Target): Promise<number[]> {
  using connection = await Http1Connection.open(target);
  const request = http1Request(target, get("/health"));
  const times: number[] = [];
  for (let i = 0; i < HEALTH_REQUESTS; i += 1) {
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
