import { expect, vi } from "vitest";
import { Signal } from "../../gen/process/process_pb.js";
import { describeTransports, test } from "../helpers/agent.ts";
import { type Event, follow, running, shell, start, text } from "../helpers/process.ts";

function endOf(events: readonly Event[]) {
  const last = events.at(-1);
  if (last?.case !== "end") throw new Error(`the last event is ${last?.case}`);
  return last.value;
}

describeTransports("the end of a process", (transport) => {
  test("says what it used, wrote and was given to who asks", async ({ agent }) => {
    const client = agent.process(transport);
    const script =
      "read line; i=0; while [ $i -lt 20000 ]; do i=$((i+1)); done; printf four; printf sixsix >&2; exit 3";
    const run = await running(client, { ...shell(script), withOffsets: true });
    const stdin = { input: { case: "stdin", value: Buffer.from("go\n") } } as const;
    await client.sendInput({ process: run.selector, input: stdin });

    const end = endOf(await run.rest());

    expect(end).toMatchObject({
      exitCode: 3,
      exited: true,
      coreDumped: false,
      timedOut: false,
      killedByAgent: false,
      written: { stdout: 4n, stderr: 6n, pty: 0n },
      inputBytes: 3n,
      holders: [],
    });
    expect(end.signal).toBeUndefined();
    const { userTime, systemTime, maxResidentBytes } = end.usage ?? {};
    const ns = (time: typeof userTime) => Number(time?.seconds) * 1e9 + Number(time?.nanos);
    expect(ns(userTime) + ns(systemTime)).toBeGreaterThan(1e6);
    expect(ns(userTime) + ns(systemTime)).toBeLessThan(60e9);
    expect(Number(maxResidentBytes)).toBeGreaterThan(256 * 1024);
  });

  test("tells who asks later the same", async ({ agent }) => {
    const client = agent.process(transport);
    const run = await running(client, {
      ...shell("printf four; kill -USR1 $$"),
      withOffsets: true,
    });
    const first = endOf(await run.rest());

    const again = await follow(client.connect({ process: run.selector, fromOffset: {} }));

    expect(first).toMatchObject({ signal: 10, killedByAgent: false, written: { stdout: 4n } });
    expect(endOf(await again.rest())).toEqual(first);
  });

  test("is the contract's and no more to who does not ask", async ({ agent }) => {
    const client = agent.process(transport);
    const run = await running(client, shell("printf four; kill -KILL $$"));
    const ends = [endOf(await run.rest())];
    const again = await follow(client.connect({ process: run.selector }));
    ends.push(endOf(await again.rest()));

    for (const end of ends) {
      expect(end).toEqual({
        $typeName: "process.ProcessEvent.EndEvent",
        exitCode: -1,
        exited: false,
        status: "signal: killed",
        error: "signal: killed",
        coreDumped: false,
        timedOut: false,
        killedByAgent: false,
        inputBytes: 0n,
        holders: [],
      });
    }
  });

  test("says whether the agent sent the signal", async ({ agent }) => {
    const client = agent.process(transport);
    const run = await running(client, { ...shell("exec sleep 1000"), withOffsets: true });

    await client.sendSignal({ process: run.selector, signal: Signal.SIGTERM });

    expect(endOf(await run.rest())).toMatchObject({ signal: 15, killedByAgent: true });
  });

  test("does not claim the signal of another for a SIGKILL that was only announced", async ({
    agent,
  }) => {
    const client = agent.process(transport);
    const script = "trap 'echo term' TERM; echo on; while :; do sleep 0.05; done";
    const run = await running(client, { ...shell(script), withOffsets: true });
    await run.until((events) => text(events, "stdout") === "on\n");
    const { selector } = run;
    const grace = { seconds: 60n };
    const signalling = client.sendSignal({ process: selector, signal: Signal.SIGTERM, grace });
    await run.until((events) => text(events, "stdout") === "on\nterm\n");

    process.kill(run.pid, "SIGKILL");

    expect(endOf(await run.rest())).toMatchObject({ signal: 9, killedByAgent: false });
    expect((await signalling).survivors).toEqual([]);
  });

  test("does not claim what ended a program before the agent signalled those it left", async ({
    agent,
  }) => {
    const client = agent.process(transport);
    const script = "sleep 1000 & echo on; kill -KILL $$";
    const run = await running(client, { ...shell(script), withOffsets: true });
    await run.until((events) => text(events, "stdout") === "on\n");
    await vi.waitFor(async () => {
      expect((await client.list({})).processes).toMatchObject([{ lingers: true }]);
    });

    await client.sendSignal({ process: run.selector, signal: Signal.SIGKILL, scope: true });

    expect(endOf(await run.rest())).toMatchObject({ signal: 9, killedByAgent: false });
  });

  test("says that the life-time was over", async ({ agent }) => {
    const client = agent.process(transport);
    const run = await running(client, shell("exec sleep 1000"), { timeoutMs: 500 });
    const other = await follow(client.connect({ process: run.selector, withOffsets: true }));

    await expect(run.rest()).rejects.toThrow();

    const end = endOf(await other.rest());
    expect(end).toMatchObject({ signal: 9, killedByAgent: true, timedOut: true });
  });

  test("names whom a killed process has left its outputs to", async ({ agent }) => {
    const client = agent.process(transport);
    const script = "sleep 1000 & echo $!; wait";
    const run = await running(client, { ...shell(script), withOffsets: true });
    await run.until((events) => events.some((event) => event.case === "data"));

    await client.sendSignal({ process: run.selector, signal: Signal.SIGKILL });

    const { holders } = endOf(await run.rest());
    expect(holders).toMatchObject([{ command: "sleep 1000" }]);
    process.kill(holders[0]?.pid ?? 0, "SIGKILL");
  });
});

test.for(["grpc", "grpc-web"] as const)(
  "the end says more over %s as well, to who asks",
  async (transport, { agent }) => {
    const client = agent.process(transport);

    const end = endOf(await start(client, { ...shell("printf four"), withOffsets: true }));

    expect(end.written).toMatchObject({ stdout: 4n });
    expect(endOf(await start(client, shell("printf four"))).written).toBeUndefined();
  },
);
