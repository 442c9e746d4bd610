import { type Agent, runningAgent } from "./agent.ts";
import { startScript } from "./child.ts";
import { Http1Connection } from "./http1.ts";
import { settledMemoryOf } from "./memory.ts";
import type { Question } from "./question.ts";
import { runRounds, secondsOf } from "./rounds.ts";
import type { Row } from "./table.ts";
import { get, http1Request } from "./wire.ts";

/** How soon is a fresh agent there, and what does it hold? */
export const start: Question = async ({ agent, startAnother, isQuick, rounds }) => {
  const rows: Row[] = [];
  const notes: string[] = [];
  if (startAnother === undefined) notes.push("Starting is only measured with thaw itself.");
  else {
    const { thaw, empty } = await runRounds(isQuick ? rounds : 2 * rounds, {
      thaw: () => msToHealth(() => startAnother({})),
      empty: () => msToHealth(startEmpty),
    });
    rows.push({
      figure: "start to first healthy answer",
      unit: "ms",
      values: thaw,
      baseline: { name: "empty Node server", values: empty },
    });
  }
  if (agent.pid === undefined) notes.push("The agent's process is not on this machine.");
  else rows.push(...(await memoryRows(agent.pid)));
  return { question: "start: how soon is it there, and how large is it at rest?", rows, notes };
};

async function memoryRows(pid: number): Promise<Row[]> {
  await using empty = await startEmpty();
  const mine = await settledMemoryOf(pid);
  const bare = await settledMemoryOf(empty.pid as number);
  const row = (figure: string, field: "rss" | "privateDirty"): Row => ({
    figure,
    unit: "MiB",
    values: [mine[field] / 1024],
    baseline: { name: "empty Node server", values: [bare[field] / 1024] },
  });
  return [row("resident memory at rest", "rss"), row("private dirty at rest", "privateDirty")];
}

async function startEmpty(): Promise<Agent> {
  const helper = await startScript("empty-server.cjs", [], /^(http:.*)/);
  return {
    ...runningAgent(helper.answer, undefined),
    pid: helper.pid,
    [Symbol.asyncDispose]: () => helper[Symbol.asyncDispose](),
  };
}

async function msToHealth(startIt: () => Promise<Agent>): Promise<number> {
  let agent: Agent | undefined;
  const seconds = await secondsOf(async () => {
    agent = await startIt();
    using connection = await Http1Connection.open(agent.target);
    const { status } = await connection.exchange(http1Request(agent.target, get("/health")));
    if (status >= 300) throw new Error(`/health answered ${status}`);
  });
  await agent?.[Symbol.asyncDispose]();
  return 1000 * seconds;
}
