import { existsSync } from "node:fs";
import { join } from "node:path";
import { Code } from "@connectrpc/connect";
import { expect, vi } from "vitest";
import { Signal } from "../../gen/process/process_pb.js";
import { describeTransports, test } from "../helpers/agent.ts";
import { type Event, type Followed, follow, running, shell, text } from "../helpers/process.ts";

const WINDOW_BYTES = 16 * 1024;
/** Other tests may keep the machine busy. */
const IN_TIME = { timeout: 15_000, interval: 20 };

const written = (events: Event[]) => text(events, "stdout").length;
const viewerOf = ({ events }: Followed) =>
  events[0]?.case === "start" ? events[0].value.viewerId : 0n;

/** Reads on in the background. */
function reading(viewer: Followed): Promise<unknown> {
  return viewer.rest().catch((reason: unknown) => reason);
}

describeTransports("a viewer with a window", (transport) => {
  test("has no more under way than its window, and everything once it acknowledges", async ({
    agent,
  }) => {
    const client = agent.process(transport);
    const viewer = await running(client, {
      ...shell("head -c 100000 /dev/zero"),
      windowBytes: 1,
    });
    const { selector: process } = viewer;
    const viewerId = viewerOf(viewer);
    expect(viewerId).toBeGreaterThan(0n);

    const all = reading(viewer);
    for (let shown = 0; shown + WINDOW_BYTES < 100_000; shown += WINDOW_BYTES) {
      await vi.waitFor(() => {
        expect(written(viewer.events)).toBe(shown + WINDOW_BYTES);
      }, IN_TIME);
      await client.list({});
      expect(written(viewer.events)).toBe(shown + WINDOW_BYTES);
      const offsets = { stdout: BigInt(shown + WINDOW_BYTES) };
      await client.acknowledgeOutput({ process, viewerId, offsets });
    }

    await all;
    expect(written(viewer.events)).toBe(100_000);
    expect(viewer.events.at(-1)?.case).toBe("end");
  });

  test("gets nothing beyond its window while it is silent", async ({ agent }) => {
    const client = agent.process(transport);
    const program = await running(client, shell("read go; head -c 100000 /dev/zero"));
    const process = program.selector;
    const viewer = await follow(client.connect({ process, windowBytes: 20_000 }));
    const all = reading(viewer);
    const other = await follow(client.connect({ process, withOffsets: true }));

    const stdin = { input: { case: "stdin", value: Buffer.from("go\n") } } as const;
    await client.sendInput({ process, input: stdin });
    await Promise.all([other.rest(), program.rest()]);

    expect(written(viewer.events)).toBeLessThanOrEqual(20_000);
    const viewerId = viewerOf(viewer);
    await client.acknowledgeOutput({ process, viewerId, offsets: { stdout: 1_000_000n } });
    await all;
    expect(written(viewer.events)).toBe(100_000);
  });

  test("is not found once it has left, or by another process", async ({ agent }) => {
    const client = agent.process(transport);
    const leave = new AbortController();
    const viewer = await running(
      client,
      { process: { cmd: "sleep", args: ["1000"] }, windowBytes: 1 },
      { signal: leave.signal },
    );
    const { selector: process } = viewer;
    const viewerId = viewerOf(viewer);
    const acknowledge = (pid: number) =>
      client.acknowledgeOutput({
        process: { selector: { case: "pid", value: pid } },
        viewerId,
        offsets: {},
      });

    await acknowledge(viewer.pid);
    await expect(acknowledge(viewer.pid + 1)).rejects.toMatchObject({ code: Code.NotFound });
    leave.abort();
    await vi.waitFor(async () => {
      await expect(acknowledge(viewer.pid)).rejects.toMatchObject({ code: Code.NotFound });
    }, IN_TIME);
    await expect(viewer.rest()).rejects.toThrow();

    await client.sendSignal({ process, signal: Signal.SIGKILL });
  });
});

for (const transport of ["grpc", "grpc-web"] as const) {
  test(`a window holds over ${transport} as well`, async ({ agent }) => {
    const client = agent.process(transport);
    const viewer = await running(client, { ...shell("head -c 50000 /dev/zero"), windowBytes: 1 });
    const all = reading(viewer);
    await vi.waitFor(() => expect(written(viewer.events)).toBe(WINDOW_BYTES), IN_TIME);
    await client.list({});
    expect(written(viewer.events)).toBe(WINDOW_BYTES);

    const { selector: process } = viewer;
    const viewerId = viewerOf(viewer);
    await client.acknowledgeOutput({ process, viewerId, offsets: { stdout: 50_000n } });

    await all;
    expect(written(viewer.events)).toBe(50_000);
  });
}

test("a start that fails leaves no viewer behind", async ({ agent }) => {
  const client = agent.process();
  const request = { process: { cmd: "true", cwd: "/missing" }, tag: "t", windowBytes: 1 };
  await expect(running(client, request)).rejects.toMatchObject({ code: Code.InvalidArgument });
  const next = await running(client, { ...shell("true"), windowBytes: 1 });
  await next.rest();

  const process = { selector: { case: "tag", value: "t" } } as const;
  const viewerId = viewerOf(next) - 1n;
  await expect(client.acknowledgeOutput({ process, viewerId, offsets: {} })).rejects.toMatchObject({
    code: Code.NotFound,
  });
});

test("who does not ask for a window is told of no viewer", async ({ agent }) => {
  const viewer = await running(agent.process(), { ...shell("true"), withOffsets: true });

  expect(viewerOf(viewer)).toBe(0n);
  await viewer.rest();
});

test.override({ config: { stallTimeoutMs: 1_000 } });

test("a single viewer that acknowledges nothing holds its process up until the stall time, and has gaps then", async ({
  agent,
}) => {
  const client = agent.process("h2-proto");
  const done = join(agent.directory, "done");
  const script = `head -c 8M /dev/zero; touch ${done}; echo end`;
  const viewer = await running(client, { ...shell(script), windowBytes: 1 });
  const all = reading(viewer);
  await vi.waitFor(() => expect(written(viewer.events)).toBe(WINDOW_BYTES), IN_TIME);
  const closedAt = performance.now();

  await vi.waitFor(() => expect(existsSync(done)).toBe(true), IN_TIME);

  expect(performance.now() - closedAt).toBeGreaterThan(700);

  const { selector: process } = viewer;
  const viewerId = viewerOf(viewer);
  const end = 8n * 1024n * 1024n + 4n;
  await client.acknowledgeOutput({ process, viewerId, offsets: { stdout: end } });
  await all;
  const gaps = viewer.events.flatMap((event) => (event.case === "gap" ? [event.value] : []));
  const lost = gaps.reduce((sum, gap) => sum + Number(gap.toOffset - gap.fromOffset), 0);
  expect(lost).toBeGreaterThan(6 * 1024 * 1024);
  expect(written(viewer.events) + lost).toBe(Number(end));
});

test("a viewer with a closed window holds nobody up beside another", async ({ agent }) => {
  const client = agent.process("h2-proto");
  const program = await running(client, shell("read go; head -c 32M /dev/zero"));
  const process = program.selector;
  const closed = await follow(client.connect({ process, windowBytes: 1 }));
  const all = reading(closed);

  const stdin = { input: { case: "stdin", value: Buffer.from("go\n") } } as const;
  await client.sendInput({ process, input: stdin });

  expect(text(await program.rest(), "stdout").length).toBe(32 * 1024 * 1024);
  const viewerId = viewerOf(closed);
  const offsets = { stdout: BigInt(32 * 1024 * 1024) };
  await client.acknowledgeOutput({ process, viewerId, offsets });
  await all;
  expect(closed.events.some((event) => event.case === "gap")).toBe(true);
});
