import { expect, vi } from "vitest";
import { Signal } from "../../gen/process/process_pb.js";
import { readProgram } from "../../src/system/programs.ts";
import { test } from "../helpers/agent.ts";
import { MemoryGroup, whyNoMemoryGroup } from "../helpers/memory-group.ts";
import { type Event, type Followed, running, shell, text } from "../helpers/process.ts";

const LIMIT_BYTES = 32 * 1024 * 1024;

const reason = whyNoMemoryGroup();
if (reason !== undefined) console.warn(`skipped: no group to run out of memory in: ${reason}`);
const oomTest = test.skipIf(reason !== undefined);

function endOf(events: readonly Event[]) {
  const last = events.at(-1);
  if (last?.case !== "end") throw new Error(`the last event is ${last?.case}`);
  return last.value;
}

const line = ({ events }: Followed) => text(events, "stdout").trim();

oomTest("who is killed for want of memory is told so, and nobody else", async ({ agent }) => {
  const client = agent.process();
  using group = new MemoryGroup(LIMIT_BYTES);
  const other = await running(client, { ...shell("exec sleep 1000"), withOffsets: true });

  const script = `exec ${group.greedy}`;
  const killed = await running(client, { ...shell(script), withOffsets: true });

  const end = endOf(await killed.rest());
  expect(end).toMatchObject({ signal: 9, killedByAgent: false, oomKills: 1n });
  await client.sendSignal({ process: other.selector, signal: Signal.SIGKILL });
  expect(endOf(await other.rest())).toMatchObject({ signal: 9, oomKills: 0n });
});

oomTest("so is who has started it", async ({ agent }) => {
  const client = agent.process();
  using group = new MemoryGroup(LIMIT_BYTES);
  // Nobody buries it, so that it is there whenever it is looked at.
  const script = `setsid ${group.greedy} & echo $!; exec sleep 1000`;
  const run = await running(client, { ...shell(script), withOffsets: true });
  await run.until(() => line(run) !== "");
  const isDead = () => readProgram(Number(line(run)))?.isZombie === true;
  await vi.waitFor(() => expect(isDead()).toBe(true), { timeout: 15_000 });

  await client.sendSignal({ process: run.selector, signal: Signal.SIGTERM });

  expect(endOf(await run.rest())).toMatchObject({ signal: 15, oomKills: 1n });
});

oomTest("a victim that was gone too soon is not said to be nobody's", async ({ agent }) => {
  const client = agent.process();
  using group = new MemoryGroup(LIMIT_BYTES);
  const script = `${group.greedy}; echo $?`;
  const run = await running(client, { ...shell(script), withOffsets: true });

  const end = endOf(await run.rest());

  expect(line(run)).toBe("137");
  expect([undefined, 1n]).toContain(end.oomKills);
});
