import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import type { MessageInitShape } from "@bufbuild/protobuf";
import type { DurationSchema } from "@bufbuild/protobuf/wkt";
import { Code } from "@connectrpc/connect";
import { expect, onTestFinished, vi } from "vitest";
import { Signal } from "../../gen/process/process_pb.js";
import { describeTransports, type TestAgent, test } from "../helpers/agent.ts";
import { type Followed, running, shell, text } from "../helpers/process.ts";

const IN_TIME = { timeout: 15_000, interval: 20 };
const SECOND = { seconds: 1n };
const MINUTE = { seconds: 60n };

/** Whether the program runs; a zombie does not. */
function lives(pid: number): boolean {
  if (!existsSync(`/proc/${pid}/stat`)) return false;
  return !/\) [ZX] /.test(readFileSync(`/proc/${pid}/stat`, "latin1"));
}

/** The pids that have been written to `file`, one a line. */
function pidsIn(file: string): number[] {
  return existsSync(file) ? readFileSync(file, "utf8").trim().split("\n").map(Number) : [];
}

/**
 * Starts `script`, which lets each of its programs write its pid to `$F`, and waits until `count`
 * of them have.
 */
async function tree(agent: TestAgent, script: string, count: number) {
  const file = join(agent.directory, "pids");
  const request = shell(script);
  const process = { ...request.process, envs: { F: file } };
  const run = await running(agent.process("h2-proto"), { process });
  await vi.waitFor(() => expect(pidsIn(file).length).toBe(count), IN_TIME);
  return { run, pids: () => pidsIn(file) };
}

/** A daemon that has forked twice in a session of its own, one of its own session below, and a child. */
const DAEMONS = `
  leaf='echo $$ >>$F; exec sleep 1000'
  ( setsid sh -c "sh -c '$leaf' & setsid sh -c '$leaf' & echo \\$\\$ >>$F; wait" </dev/null >/dev/null 2>&1 & )
  sh -c "$leaf" &
`;

describeTransports("a signal to the scope", (transport) => {
  const send = (
    agent: TestAgent,
    run: Followed,
    request: { signal: Signal; grace?: MessageInitShape<typeof DurationSchema> },
  ) => agent.process(transport).sendSignal({ process: run.selector, scope: true, ...request });

  test("leaves nothing of daemons that have forked twice and left the session", async ({
    agent,
  }) => {
    const { run, pids } = await tree(agent, `${DAEMONS} echo $$ >>$F; wait`, 5);
    const neighbour = await running(agent.process(), { process: { cmd: "sleep", args: ["1000"] } });

    const { survivors, signalled } = await send(agent, run, { signal: Signal.SIGKILL });

    expect(survivors).toEqual([]);
    expect(signalled).toBeGreaterThanOrEqual(5);
    expect(pids().filter(lives)).toEqual([]);
    expect(lives(neighbour.pid)).toBe(true);
    await run.rest();
    await agent.process().sendSignal({ process: neighbour.selector, signal: Signal.SIGKILL });
    await neighbour.rest();
  });

  test("reaches what a process has left behind after its end", async ({ agent }) => {
    const { run, pids } = await tree(agent, `exec >/dev/null 2>&1; ${DAEMONS} exit 0`, 4);
    await run.rest();

    const { survivors } = await send(agent, run, { signal: Signal.SIGTERM, grace: MINUTE });

    expect(survivors).toEqual([]);
    expect(pids().filter(lives)).toEqual([]);
  });

  test("reaches it up to 30 s after that, and says that there is nothing later", async ({
    agent,
  }) => {
    vi.useFakeTimers({
      toFake: ["setTimeout", "clearTimeout", "performance"],
      shouldAdvanceTime: true,
    });
    try {
      const script = `exec >/dev/null 2>&1; ${DAEMONS} exit 0`;
      const [late, soon] = [await tree(agent, script, 4), await tree(agent, script, 8)];
      const all = soon.pids();
      onTestFinished(() => all.filter(lives).forEach((pid) => process.kill(pid, "SIGKILL")));
      await Promise.all([soon.run.rest(), late.run.rest()]);

      await vi.advanceTimersByTimeAsync(28_000);
      const { survivors } = await send(agent, soon.run, { signal: Signal.SIGKILL });
      const [left, gone] = [all.slice(0, 4), all.slice(4)];
      await vi.advanceTimersByTimeAsync(3_000);

      expect(survivors).toEqual([]);
      expect(gone.filter(lives)).toEqual([]);
      await expect(send(agent, late.run, { signal: Signal.SIGKILL })).rejects.toMatchObject({
        code: Code.NotFound,
      });
      expect(left.filter(lives)).toEqual(left);
    } finally {
      vi.useRealTimers();
    }
  });

  test("kills after the grace time what does not heed it", async ({ agent }) => {
    const script = `sh -c 'trap "" TERM; echo $$ >>$F; while :; do sleep 1000; done' & echo $$ >>$F; wait`;
    const { run, pids } = await tree(agent, script, 2);

    const grace = { nanos: 200_000_000 };
    const { survivors } = await send(agent, run, { signal: Signal.SIGTERM, grace });

    expect(survivors).toEqual([]);
    expect(pids().filter(lives)).toEqual([]);
    await run.rest();
  });

  test("names those who are still there", async ({ agent }) => {
    const script = `sh -c 'trap "" TERM; echo $$ >>$F; while :; do sleep 1000; done' & wait`;
    const { run, pids } = await tree(agent, script, 1);

    const { survivors } = await send(agent, run, { signal: Signal.SIGTERM });

    expect(survivors.map(({ pid }) => pid)).toEqual(expect.arrayContaining(pids()));
    expect(survivors.find(({ pid }) => pid === pids()[0])?.command).toContain("while :;");
    await send(agent, run, { signal: Signal.SIGKILL });
    await run.rest();
  });

  test("gets ahead of programs that start others", async ({ agent }) => {
    const script = `i=0; while [ $i -lt 50 ]; do sh -c 'echo $$ >>$F; setsid sleep 1000 & exec sleep 1000' & i=$((i+1)); done; wait`;
    const { run, pids } = await tree(agent, script, 50);

    const { survivors, signalled } = await send(agent, run, { signal: Signal.SIGKILL });

    expect(survivors).toEqual([]);
    expect(signalled).toBeGreaterThanOrEqual(51);
    expect(pids().filter(lives)).toEqual([]);
    await run.rest();
  });
});

describeTransports("a signal to the process alone", (transport) => {
  test("can be any", async ({ agent }) => {
    const client = agent.process(transport);
    const run = await running(client, shell(`trap 'echo usr1; exit 5' USR1; echo on; read go`));
    await run.until((events) => text(events, "stdout") === "on\n");

    await client.sendSignal({ process: run.selector, number: 10 });

    expect(text(await run.rest(), "stdout")).toBe("on\nusr1\n");
    await expect(client.sendSignal({ process: run.selector, number: 65 })).rejects.toMatchObject({
      code: Code.InvalidArgument,
    });
  });

  test("is followed by SIGKILL after the grace time", async ({ agent }) => {
    const client = agent.process(transport);
    const run = await running(client, shell(`trap '' TERM; echo on; while :; do sleep 0.1; done`));
    await run.until((events) => text(events, "stdout") === "on\n");
    const { selector: process } = run;

    const { survivors, signalled } = await client.sendSignal({
      process,
      signal: Signal.SIGTERM,
      grace: { nanos: 100_000_000 },
    });

    expect(survivors).toEqual([]);
    expect(signalled).toBe(1);
    expect((await run.rest()).at(-1)).toMatchObject({ value: { status: "signal: killed" } });
    await expect(
      client.sendSignal({ process, signal: Signal.SIGTERM, grace: SECOND }),
    ).rejects.toMatchObject({ code: Code.NotFound });
  });
});

test("a grace time has bounds", async ({ agent }) => {
  const client = agent.process();
  const process = { selector: { case: "pid", value: 1 } } as const;

  for (const grace of [{ seconds: 61n }, { seconds: -1n }]) {
    await expect(
      client.sendSignal({ process, signal: Signal.SIGTERM, grace }),
    ).rejects.toMatchObject({ code: Code.InvalidArgument });
  }
});
