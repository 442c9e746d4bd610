import { expect, vi } from "vitest";
import { Signal } from "../../gen/process/process_pb.js";
import { describeTransports, test } from "../helpers/agent.ts";
import { basic, follow, running, shell } from "../helpers/process.ts";

describeTransports("List", (transport) => {
  test("says since when, for whom and on what a process runs, and what it has written", async ({
    agent,
    user,
  }) => {
    const client = agent.process(transport);
    const before = Date.now();
    const request = { ...shell("printf four; sleep 1000"), pty: { size: { cols: 80, rows: 24 } } };
    const run = await running(client, request, { headers: basic(user.name) });
    await run.until((events) => events.some((event) => event.case === "data"));
    const leave = new AbortController();
    await follow(client.connect({ process: run.selector }, { signal: leave.signal }));

    const [info] = (await client.list({})).processes;

    expect(info).toMatchObject({ pid: run.pid, user: user.name, hasTerminal: true, viewers: 2 });
    expect(info?.written).toMatchObject({ stdout: 0n, pty: 4n });
    expect(info?.lingers).toBe(false);
    const startedAt = Number(info?.startedAt?.seconds) * 1_000;
    expect(startedAt).toBeGreaterThan(before - 2_000);
    expect(startedAt).toBeLessThanOrEqual(Date.now());
    leave.abort();
    await vi.waitFor(async () => {
      expect((await client.list({})).processes[0]?.viewers).toBe(1);
    });
    await client.sendSignal({ process: run.selector, signal: Signal.SIGKILL });
    await run.rest();
  });

  test("tells of those that have ended to who asks, and to nobody else", async ({ agent }) => {
    const client = agent.process(transport);
    const run = await running(client, { ...shell("printf four; exit 3"), tag: "t" });
    await run.rest();

    expect((await client.list({})).processes).toEqual([]);
    const { processes } = await client.list({ includeEnded: true });

    expect(processes).toMatchObject([
      { pid: run.pid, tag: "t", written: { stdout: 4n }, viewers: 0, lingers: false },
    ]);
    expect(processes[0]?.end).toMatchObject({ exitCode: 3, exited: true });
    expect(processes[0]?.config?.cmd).toBe("sh");
  });

  test("says of a program that has left its outputs to others that it lingers", async ({
    agent,
  }) => {
    const client = agent.process(transport);
    const run = await running(client, shell("sleep 1000 & echo $!"));
    await run.until((events) => events.some((event) => event.case === "data"));

    await vi.waitFor(async () => {
      expect((await client.list({})).processes).toMatchObject([{ pid: run.pid, lingers: true }]);
    });

    await client.sendSignal({ process: run.selector, signal: Signal.SIGKILL });
    await run.rest();
    const event = run.events.find(({ case: kind }) => kind === "data");
    const pid =
      event?.case === "data" ? Buffer.from(event.value.output.value ?? []).toString() : "";
    process.kill(Number(pid), "SIGKILL");
  });
});
