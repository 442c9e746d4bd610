import { setTimeout as wait } from "node:timers/promises";
import { startScript } from "./child.ts";
import { Http1Connection } from "./http1.ts";
import type { Question } from "./question.ts";
import { percentile } from "./statistics.ts";
import type { Row } from "./table.ts";
import {
  type Call,
  get,
  http1Request,
  killCall,
  signalCall,
  startCall,
  startedPid,
  type Target,
} from "./wire.ts";

const SESSIONS = 8;
const FLOODING_PROGRAMS = 4;
/** How long the crowd runs before anything is measured, in ms. */
const SETTLE_MS = 1_000;
const P99_MS = 50;
const START_FRAME_BYTES = 7;

/** How long do control calls take while a crowd of viewers is flooded with output? */
export const priority: Question = async (setting) => {
  const streams = setting.isQuick ? 500 : 2_000;
  const question = `priority: control calls beside ${streams} streams of \`yes\``;
  const { target } = setting.agent;
  using control = await Http1Connection.open(target);
  // A signal reaches this one, and does nothing to it.
  const patient = await running(target, ["sh", "-c", "trap : TERM; while :; do sleep 60; done"]);
  const calls: [string, Call][] = [
    ["/health", get("/health")],
    ["SendSignal", signalCall(patient.pid, "SIGTERM")],
  ];
  const requests = setting.isQuick ? 200 : 500;
  const measure = () => timesOf(control, target, calls, requests);
  const idle = await measure();
  const programs = await Promise.all(
    Array.from({ length: FLOODING_PROGRAMS }, () => running(target, ["yes"])),
  );
  const pids = programs.map(({ pid }) => pid);
  const { host, port, token } = target;
  const args = [host, `${port}`, `${streams}`, `${SESSIONS}`, pids.join(",")];
  const flood = await startScript(
    "flood.ts",
    token === undefined ? args : [...args, token],
    /^flooding/,
  );
  await wait(SETTLE_MS);
  const flooded = await measure();
  await flood[Symbol.asyncDispose]();
  for (const { pid } of [...programs, patient]) {
    await control.exchange(http1Request(target, killCall(pid)));
  }
  for (const { connection } of [...programs, patient]) connection[Symbol.dispose]();
  return { question, rows: rowsOf(idle, flooded) };
};

type Times = Map<string, number[]>;

async function timesOf(
  control: Http1Connection,
  target: Target,
  calls: readonly [string, Call][],
  requests: number,
): Promise<Times> {
  const times: Times = new Map(calls.map(([name]) => [name, []]));
  for (let round = 0; round < requests; round++) {
    for (const [name, call] of calls) {
      const start = performance.now();
      const { status } = await control.exchange(http1Request(target, call));
      if (status >= 300) throw new Error(`${name} was answered with ${status}`);
      times.get(name)?.push(performance.now() - start);
    }
  }
  return times;
}

function rowsOf(idle: Times, flooded: Times): Row[] {
  return [...flooded].flatMap(([name, times]) =>
    [50, 99].map((percent): Row => {
      const baseline = percentile(idle.get(name) ?? [], percent);
      const row: Row = {
        figure: `${name}, p${percent}`,
        unit: "ms",
        values: [percentile(times, percent)],
        baseline: { name: "idle", values: [baseline] },
      };
      return percent === 99 ? { ...row, target: { of: "value", atMost: P99_MS } } : row;
    }),
  );
}

async function running(target: Target, [cmd = "", ...args]: string[]) {
  const connection = await Http1Connection.open(target);
  const call = startCall({ process: { cmd, args } });
  const pid = startedPid(await connection.begin(http1Request(target, call), START_FRAME_BYTES));
  return { pid, connection };
}
