import { setTimeout as wait } from "node:timers/promises";
import { startScript } from "./child.ts";
import { Http1Connection } from "./http1.ts";
import { residentOf } from "./memory.ts";
import type { Question, Setting } from "./question.ts";
import type { Row } from "./table.ts";
import { descriptorOf, isSocket, tcpSockets } from "./tcp-sockets.ts";
import { http1Request, killCall, startCall, startedPid, type Target } from "./wire.ts";

const QUESTION = "viewer: what does a stopped viewer do to the others?";
const POLL_MS = 20;
/** How long the reader is measured without the stopped viewer, before it and after it. */
const ALONE_MS = 2_000;
/** How much longer than agreed an agent is waited for. */
const PATIENCE = 2;

/** What one stopped viewer does to a viewer that reads. */
interface Outcome {
  aloneRate: number;
  besideRate: number;
  /** Seconds until the stopped one was cut; NaN: never. */
  cutSeconds: number;
  grownKib: number;
}

/** What does a viewer that stopped reading do to the process, the other viewers and the agent? */
export const viewer: Question = async (setting) => {
  const stallSeconds = setting.isQuick ? 3 : 10;
  await using agent =
    setting.startAnother === undefined
      ? undefined
      : await setting.startAnother({ flags: ["--stall-timeout", `${stallSeconds}s`] });
  const { target, pid } = agent ?? setting.agent;
  if (pid === undefined) {
    return { question: QUESTION, rows: [], notes: ["The agent's process is not on this machine."] };
  }
  using reader = await Http1Connection.open(target);
  const program = startCall({ process: { cmd: "yes" } });
  const child = startedPid(await reader.begin(http1Request(target, program), 7));
  const outcomes: Outcome[] = [];
  try {
    await rateDuring(reader, () => wait(1_000));
    for (let i = 0; i < cycles(setting); i += 1) {
      outcomes.push(await oneCycle(reader, { target, pid, child, stallSeconds }));
    }
  } finally {
    using killer = await Http1Connection.open(target);
    await killer.exchange(http1Request(target, killCall(child)));
  }
  return { question: QUESTION, rows: rowsOf(outcomes, stallSeconds) };
};

function cycles({ isQuick }: Setting): number {
  return isQuick ? 2 : 3;
}

interface Scene {
  target: Target;
  pid: number;
  child: number;
  stallSeconds: number;
}

async function oneCycle(reader: Http1Connection, scene: Scene): Promise<Outcome> {
  const { target, pid, child, stallSeconds } = scene;
  const aloneBefore = await rateDuring(reader, () => wait(ALONE_MS));
  const { host, port, token } = target;
  const args = [host, `${port}`, `${child}`, ...(token === undefined ? [] : [token])];
  await using stopped = await startScript("viewer.ts", args, /^reading (\d+)/);
  const memoryBefore = residentOf(pid);
  let highest = memoryBefore;
  let cutSeconds = Number.NaN;
  try {
    const start = performance.now();
    const isServed = watchConnection(pid, port, Number(stopped.answer));
    const besideRate = await rateDuring(reader, async () => {
      while (Number.isNaN(cutSeconds) && secondsSince(start) < PATIENCE * stallSeconds) {
        await wait(POLL_MS);
        highest = Math.max(highest, residentOf(pid));
        if (!isServed()) cutSeconds = secondsSince(start);
      }
    });
    stopped.kill("SIGKILL");
    const aloneAfter = await rateDuring(reader, () => wait(ALONE_MS));
    const aloneRate = (aloneBefore + aloneAfter) / 2;
    return { aloneRate, besideRate, cutSeconds, grownKib: highest - memoryBefore };
  } finally {
    stopped.kill("SIGKILL");
  }
}

/** MiB/s that `reader` gets during `act`. */
async function rateDuring(reader: Http1Connection, act: () => Promise<unknown>): Promise<number> {
  let bytes = 0;
  reader.onBytes = (size) => {
    bytes += size;
  };
  const start = performance.now();
  await act();
  const seconds = secondsSince(start);
  reader.onBytes = () => {};
  if (!reader.isReading) throw new Error("the viewer that reads was cut off");
  return bytes / 1024 / 1024 / seconds;
}

function secondsSince(start: number): number {
  return (performance.now() - start) / 1000;
}

/** Finds the agent's end of the viewer's connection and says whether it is still open. */
function watchConnection(pid: number, agentPort: number, viewerPort: number): () => boolean {
  const found = tcpSockets().find(
    ({ localPort, remotePort }) => localPort === agentPort && remotePort === viewerPort,
  );
  const inode = found?.inode ?? 0;
  const file = descriptorOf(pid, inode);
  if (file === undefined) throw new Error("the agent has no connection with the viewer");
  return () => isSocket(file, inode);
}

function rowsOf(outcomes: Outcome[], stallSeconds: number): Row[] {
  return [
    {
      figure: "reader's rate beside a stopped viewer",
      unit: "MiB/s",
      values: outcomes.map((outcome) => outcome.besideRate),
      baseline: { name: "alone", values: outcomes.map((outcome) => outcome.aloneRate) },
      target: { of: "ratio", atLeast: 0.9 },
    },
    {
      figure: "time until the stopped viewer is cut",
      unit: "s",
      values: outcomes.map((outcome) => outcome.cutSeconds),
      target: { of: "value", atLeast: (9 * stallSeconds) / 10, atMost: (11 * stallSeconds) / 10 },
    },
    {
      figure: "agent's resident memory grows meanwhile by",
      unit: "MiB",
      values: outcomes.map((outcome) => outcome.grownKib / 1024),
    },
  ];
}
