import { setTimeout as delay } from "node:timers/promises";
import { expect, test } from "vitest";
import { firstAnswer, type HeldClient, KINDS, openEveryKind } from "./clients.ts";
import { describeVm } from "./describe-vm.ts";
import { ENVD, type Machine, Rig, type Snapshot } from "./rig/machine.ts";
import { FAR } from "./rig/network.ts";
import { guestSockets, median, quantile, ROUNDS, report } from "./tables.ts";

/** When what is left of the life before must be gone, in ms. */
const LIMIT_MS = 1_000;
const MODES = ["client still there", "client gone", "client silent"] as const;
type Mode = (typeof MODES)[number];

interface Round {
  firstAnswerMs: number;
  /** How many of each kind the guest still holds after a second. */
  zombies: Map<string, number>;
}

/** One restore, from its first instruction on. */
async function measure(machine: Machine, clients: readonly HeldClient[]): Promise<Round> {
  await machine.resume();
  const start = performance.now();
  const firstAnswerMs = await firstAnswer(machine.network);
  await delay(Math.max(0, LIMIT_MS - (performance.now() - start)));
  const open = new Set((await guestSockets(machine)).map(({ port }) => port));
  const zombies = new Map<string, number>();
  for (const { kind, port } of clients) {
    if (open.has(port)) zombies.set(kind, (zombies.get(kind) ?? 0) + 1);
  }
  return { firstAnswerMs, zombies };
}

function drop(clients: readonly HeldClient[]): void {
  for (const { socket } of clients) socket.destroy();
}

/** Restores one snapshot again and again, each time where nobody knows of its connections. */
async function restoreElsewhere(rig: Rig, mode: Mode, rounds: number): Promise<Round[]> {
  const options = mode === "client silent" ? { localAddress: FAR } : {};
  const parent = await rig.boot();
  const clients = await openEveryKind(parent.network, options);
  const snapshot: Snapshot = await parent.snapshot();
  await parent.end();
  drop(clients);
  const results: Round[] = [];
  for (let round = 0; round < rounds; round += 1) {
    const machine = await rig.restore(snapshot, { hasFar: mode !== "client silent" });
    results.push(await measure(machine, clients));
    await machine.end();
  }
  return results;
}

/** Restores where it was frozen: the clients have kept their sockets all the while. */
async function restoreInPlace(rig: Rig, rounds: number): Promise<Round[]> {
  let machine = await rig.boot();
  const results: Round[] = [];
  for (let round = 0; round < rounds; round += 1) {
    const clients = await openEveryKind(machine.network);
    const snapshot = await machine.snapshot();
    await machine.end({ keepNetwork: true });
    machine = await rig.restore(snapshot, { network: machine.network });
    results.push(await measure(machine, clients));
    drop(clients);
    // What earlier rounds have started would slow the later ones down.
    await machine.shell("killall bash sleep cat || true");
  }
  return results;
}

const run = (rig: Rig, mode: Mode, rounds: number) =>
  mode === "client still there" ? restoreInPlace(rig, rounds) : restoreElsewhere(rig, mode, rounds);

const ms = (value: number) => `${Math.round(value)} ms`;

function tabulate(title: string, healed: readonly Round[], left: readonly Round[]): void {
  const times = healed.map(({ firstAnswerMs }) => firstAnswerMs);
  const others = left.map(({ firstAnswerMs }) => firstAnswerMs);
  const rows = KINDS.map((kind) => {
    const count = (rounds: readonly Round[]) =>
      rounds.reduce((sum, { zombies }) => sum + (zombies.get(kind) ?? 0), 0);
    return [kind, `${count(healed)} of ${healed.length}`, `${count(left)} of ${left.length}`];
  });
  report(title, [
    ["", "tracker on", "tracker off"],
    ["first answer, median", ms(median(times)), ms(median(others))],
    ["first answer, p99", ms(quantile(times, 0.99)), ms(quantile(others, 0.99))],
    ...rows.map(([kind = "", ...rest]) => [`zombies after 1 s: ${kind}`, ...rest]),
  ]);
}

describeVm("a restore without Prepare", () => {
  test.for(MODES)("leaves no zombie after a second, unlike without a tracker: %s", async (mode) => {
    await using healing = new Rig(ENVD);
    await using leaving = new Rig(`${ENVD} -no-heal`);
    const healed = await run(healing, mode, ROUNDS);
    const left = await run(leaving, mode, Math.min(ROUNDS, 5));

    tabulate(`Restored without Prepare, ${mode}`, healed, left);
    expect(healed.flatMap(({ zombies }) => [...zombies])).toEqual([]);
    const isLeft = left.some(({ zombies }) => zombies.size > 0);
    expect(isLeft, "the control run shows zombies").toBe(true);
  });
});
