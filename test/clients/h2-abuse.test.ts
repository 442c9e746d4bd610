import { spawn } from "node:child_process";
import { once } from "node:events";
import { readFileSync } from "node:fs";
import { constants } from "node:http2";
import { connect, type Socket } from "node:net";
import { afterAll, beforeAll, describe, expect, test, vi } from "vitest";
import { Binary } from "../helpers/binary.ts";
import {
  FLAG,
  framesIn,
  h2Frame,
  h2Request,
  headerBlock,
  PREFACE,
  settings,
  TYPE,
  uint32,
  windowUpdate,
} from "../helpers/h2-frames.ts";
import { ask } from "../helpers/requests.ts";

const MIB = 1024 * 1024;
/** What a flood may leave behind: what the heap takes once and keeps. */
const GROWTH_BYTES = 64 * MIB;
/** How long a neighbour may wait while somebody floods, in ms. Far more than it does. */
const NEIGHBOUR_MS = 3_000;

let agent: Binary;
let port = 0;
let baseline = 0;

beforeAll(async () => {
  agent = await Binary.serve(["--no-token", "--stall-timeout", "2s"]);
  port = Number(new URL(agent.url).port);
  for (let warm = 0; warm < 200; warm++) await health();
  baseline = residentBytes();
});
afterAll(() => agent[Symbol.asyncDispose]());

function residentBytes(): number {
  const pages = readFileSync(`/proc/${agent.child.pid}/statm`, "latin1").split(" ")[1];
  return Number(pages) * 4096;
}

/** How long the agent takes to say that it is well, in ms. */
async function health(): Promise<number> {
  const start = performance.now();
  expect((await ask("h1", agent.url, { path: "/health" })).status).toBe(204);
  return performance.now() - start;
}

const median = (times: number[]) => times.toSorted((a, b) => a - b)[times.length >> 1] ?? 0;

/** What an offender does, after its preface and settings. */
interface Offence {
  /** The bytes of one round; `undefined` when it has nothing more to send. */
  next(round: number): Buffer | undefined;
}

/** What became of an offender. */
interface Verdict {
  isClosed: boolean;
  /** The code of the last GOAWAY. */
  goaway: number | undefined;
}

/** Sends what `offence` has until the agent closes the connection or there is no more. */
async function commit(socket: Socket, { next }: Offence): Promise<Verdict> {
  const chunks: Buffer[] = [];
  socket.on("error", () => {}).on("data", (chunk: Buffer) => chunks.push(chunk));
  await once(socket, "connect");
  socket.write(Buffer.concat([PREFACE, settings()]));
  for (let round = 0; !socket.destroyed; round++) {
    const bytes = next(round);
    if (bytes === undefined) break;
    if (!socket.write(bytes)) {
      await Promise.race([once(socket, "drain"), once(socket, "close")]).catch(() => {});
    } else await new Promise((resolve) => setImmediate(resolve));
  }
  await vi.waitFor(() => expect(socket.closed).toBe(true), { timeout: 4_000 }).catch(() => {});
  const goodbyes = framesIn(Buffer.concat(chunks)).filter(({ type }) => type === TYPE.goaway);
  return { isClosed: socket.closed, goaway: goodbyes.at(-1)?.payload.readUInt32BE(4) };
}

const get = { ":path": "/health" };
const many = (count: number, make: (index: number) => Buffer) =>
  Buffer.concat(Array.from({ length: count }, (_, index) => make(index)));
/** The id of the `index`th stream of a client. */
const id = (index: number) => 2 * index + 1;
const PER_ROUND = 500;
const ROUNDS = 200;
const during = (make: (round: number) => Buffer): Offence => ({
  next: (round) => (round < ROUNDS ? make(round) : undefined),
});

/** Until it is closed. */
const forEver = (make: () => Buffer): Offence => {
  const round = make();
  return { next: () => round };
};

/** As many at once as Node itself endures. */
const FEW = 20;
const CALM = constants.NGHTTP2_ENHANCE_YOUR_CALM;

type Closed = readonly [name: string, offence: Offence, code?: number, why?: string];

/** Who is closed: with which code, and why, where it is the agent and not Node that knows. */
const CLOSED: readonly Closed[] = [
  [
    "opens streams and resets them at once",
    during((round) =>
      many(PER_ROUND, (index) => {
        const stream = id(round * PER_ROUND + index);
        return Buffer.concat([h2Request(stream, get), h2Frame(TYPE.reset, 0, stream, uint32(8))]);
      }),
    ),
  ],
  [
    "makes the agent reset streams by windows that overflow",
    during((round) =>
      many(PER_ROUND, (index) => {
        const stream = id(round * PER_ROUND + index);
        const post = { ":method": "POST", ":path": "/init" };
        const open = h2Frame(TYPE.headers, FLAG.endHeaders, stream, headersOf(post));
        return Buffer.concat([open, windowUpdate(stream, 0x7fff_ffff)]);
      }),
    ),
  ],
  [
    "makes the agent reset streams by windows that grow by nothing",
    during((round) =>
      many(PER_ROUND, (index) => {
        const stream = id(round * PER_ROUND + index);
        const post = { ":method": "POST", ":path": "/init" };
        const open = h2Frame(TYPE.headers, FLAG.endHeaders, stream, headersOf(post));
        return Buffer.concat([open, windowUpdate(stream, 0)]);
      }),
    ),
  ],
  [
    "sends header blocks without end",
    {
      next: (round) => {
        const part = Buffer.alloc(1_024, 0x40);
        if (round === 0) return h2Frame(TYPE.headers, 0, 1, headersOf(get));
        return round < ROUNDS * 50 ? h2Frame(TYPE.continuation, 0, 1, part) : undefined;
      },
    },
  ],
  [
    "sends header blocks of empty pieces without end",
    {
      next: (round) => {
        if (round === 0) return h2Frame(TYPE.headers, 0, 1, headersOf(get));
        return round < ROUNDS ? many(PER_ROUND, () => h2Frame(TYPE.continuation, 0, 1)) : undefined;
      },
    },
  ],
  [
    "sends SETTINGS without end",
    during(() => many(FEW, () => settings())),
    CALM,
    "too many SETTINGS",
  ],
  [
    "sends SETTINGS by the thousand",
    during(() => many(PER_ROUND, () => settings())),
    CALM,
    "it sends too m",
  ],
  [
    "sends PING without end",
    during(() => many(FEW, () => h2Frame(TYPE.ping, 0, 0, Buffer.alloc(8)))),
    CALM,
    "too many PING",
  ],
  [
    "sends PING by the thousand",
    during(() => many(4 * PER_ROUND, () => h2Frame(TYPE.ping, 0, 0, Buffer.alloc(8)))),
    CALM,
    "it sends too m",
  ],
  [
    "opens its windows without end",
    forEver(() => many(20 * PER_ROUND, () => windowUpdate(0, 1))),
    CALM,
    "carry nothing",
  ],
  [
    "changes priorities without end",
    forEver(() =>
      many(20 * PER_ROUND, (index) => h2Frame(TYPE.priority, 0, id(index) + 2, Buffer.alloc(5))),
    ),
    CALM,
  ],
  [
    "changes what HPACK may remember, again and again",
    during((round) => many(FEW, (index) => settings([[1, (round + index) % 2 === 0 ? 0 : 4_096]]))),
    CALM,
    "too many SETTINGS",
  ],
  [
    "sends one SETTINGS with thousands of entries",
    {
      next: (round) =>
        round > 0 ? undefined : settings(Array.from({ length: 2_700 }, () => [3, 100] as const)),
    },
  ],
  [
    "lets the window of the connection overflow",
    {
      next: (round) => (round > 0 ? undefined : many(2, () => windowUpdate(0, 0x7fff_ffff))),
    },
  ],
  [
    "sends empty DATA without end",
    {
      next: (round) => {
        const post = {
          ":method": "POST",
          ":path": "/files?path=/nowhere",
          "content-type": "x/y",
        };
        if (round === 0) return h2Frame(TYPE.headers, FLAG.endHeaders, 1, headersOf(post));
        return round < ROUNDS ? many(PER_ROUND, () => h2Frame(TYPE.data, 0, 1)) : undefined;
      },
    },
  ],
  [
    "opens streams and never ends their requests",
    during((round) =>
      many(PER_ROUND, (index) => {
        const post = { ":method": "POST", ":path": "/init" };
        return h2Frame(
          TYPE.headers,
          FLAG.endHeaders,
          id(round * PER_ROUND + index),
          headersOf(post),
        );
      }),
    ),
  ],
];

/** Who costs little enough to be left alone. */
const ENDURED: readonly (readonly [name: string, offence: Offence])[] = [
  [
    "sends headers that unpack to far more",
    during((round) => (round > 20 ? Buffer.alloc(0) : bomb(id(round)))),
  ],
];

/** A field that is remembered once and named thousands of times after. */
function bomb(stream: number): Buffer {
  const remembered = Buffer.concat([
    Buffer.of(0x40, 1, 0x78, 0x7f, 0x80 + ((4_000 - 127) & 0x7f), (4_000 - 127) >> 7),
    Buffer.alloc(4_000, 0x61),
  ]);
  const named = Buffer.alloc(12_000, 0x80 | 62);
  return h2Frame(
    TYPE.headers,
    FLAG.endHeaders | FLAG.endStream,
    stream,
    Buffer.concat([headersOf(get), remembered, named]),
  );
}

function headersOf(fields: Record<string, string>): Buffer {
  return headerBlock({ ":method": "GET", ":scheme": "http", ":authority": "127.0.0.1", ...fields });
}

/** Asks how the agent is, again and again, while `act` goes on. */
async function asking<T>(act: () => Promise<T>): Promise<{ result: T; times: number[] }> {
  const times: number[] = [];
  const over = new AbortController();
  const neighbour = (async () => {
    while (!over.signal.aborted) times.push(await health());
  })();
  const result = await act();
  over.abort();
  await neighbour;
  return { result, times };
}

/** Commits `offence` while a neighbour asks how the agent is. */
async function beside(offence: Offence): Promise<{ verdict: Verdict; times: number[] }> {
  const socket = connect(port, "127.0.0.1");
  const { result: verdict, times } = await asking(() => commit(socket, offence));
  socket.destroy();
  return { verdict, times };
}

const expectCalm = async () => {
  await vi.waitFor(
    async () => {
      // What is garbage only is not held by anybody.
      await fetch(`${agent.url}/collapse`, { method: "POST" });
      expect(residentBytes()).toBeLessThan(baseline + GROWTH_BYTES);
    },
    { timeout: 20_000, interval: 1_000 },
  );
  expect(agent.child.exitCode).toBeNull();
};

describe("a client of HTTP/2 that", () => {
  // More than 1,000 PING or SETTINGS that are read at once end a session in nghttp2 without a word;
  // how much is read at once is up to the kernel.
  test.for(CLOSED)(
    "%s is closed, and its neighbour is not harmed",
    { retry: 3 },
    async ([, offence, code, why = ""]) => {
      const logged = agent.stderr.length;
      const { verdict, times } = await beside(offence);

      expect(verdict.isClosed).toBe(true);
      if (code !== undefined) expect(verdict.goaway).toBe(code);
      expect(agent.stderr.slice(logged)).toContain(why);
      expect(median(times)).toBeLessThan(NEIGHBOUR_MS);
      await expectCalm();
    },
  );

  test.for(ENDURED)("%s harms nobody", async ([, offence]) => {
    const { times } = await beside(offence);

    expect(median(times)).toBeLessThan(NEIGHBOUR_MS);
    await expectCalm();
  });

  test.for([
    ["", "127.0.0.1"],
    [" and is refused", "elsewhere"],
  ])("never opens the window of its streams%s does not keep them", async ([, authority]) => {
    const socket = connect(port, "127.0.0.1");
    const fields = { ":path": "/metrics", ":authority": String(authority) };
    const answers = many(100, (index) => h2Request(id(index), fields));
    const closed = once(socket, "close");
    const resets: Buffer[] = [];
    socket.on("error", () => {}).on("data", (chunk: Buffer) => resets.push(chunk));
    socket.write(Buffer.concat([PREFACE, settings([[4, 0]]), answers]));

    const countOfResets = () =>
      framesIn(Buffer.concat(resets)).filter(({ type }) => type === TYPE.reset).length;
    await vi.waitFor(() => expect(countOfResets()).toBe(100), 10_000);

    socket.destroy();
    await closed;
    await expectCalm();
  });
});

/** Runs a program of Debian against the agent, while a neighbour asks how it is. */
async function attack(
  command: string,
  args: string[],
): Promise<{ output: string; times: number[] }> {
  const child = spawn(command, args, { stdio: ["ignore", "pipe", "pipe"] });
  let output = "";
  child.stdout.on("data", (bytes: Buffer) => (output += bytes.toString()));
  child.stderr.on("data", (bytes: Buffer) => (output += bytes.toString()));
  const { times } = await asking(() => once(child, "close"));
  return { output, times };
}

describe("slowhttptest", () => {
  test.for([
    ["that sends headers slowly", ["-H", "-i", "1"]],
    ["that sends a body slowly", ["-B", "-i", "1", "-s", "8192"]],
    ["that asks for thousands of ranges", ["-R"]],
    ["that reads slowly", ["-X", "-w", "512", "-y", "1024", "-n", "1", "-z", "32", "-k", "3"]],
  ] as const)("%s leaves the service available", async ([, mode]) => {
    const base = ["-c", "150", "-r", "150", "-l", "4", "-p", "2", "-u", `${agent.url}/health`];
    const { output, times } = await attack("slowhttptest", [...mode, ...base]);

    expect(output).toMatch(/slow HTTP test status|Exit status/i);
    expect(times.length).toBeGreaterThan(10);
    expect(median(times)).toBeLessThan(NEIGHBOUR_MS);
    await expectCalm();
  });
});

test("h2load with 1,000 streams leaves the service available", async () => {
  const { output, times } = await attack("h2load", [
    "-n",
    "20000",
    "-c",
    "10",
    "-m",
    "100",
    `${agent.url}/health`,
  ]);

  expect(output).toContain("20000 succeeded");
  expect(median(times)).toBeLessThan(NEIGHBOUR_MS);
  await expectCalm();
});
