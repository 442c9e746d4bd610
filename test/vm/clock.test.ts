import { setTimeout as delay } from "node:timers/promises";
import { expect, test } from "vitest";
import { firstAnswer, getOnce, start, unary } from "./clients.ts";
import { describeVm } from "./describe-vm.ts";
import { ENVD, type Machine, Rig } from "./rig/machine.ts";
import { ROUNDS, report } from "./tables.ts";

/** How long machines are away, in s. The long form takes the long pauses too. */
const PAUSES_S = ROUNDS >= 30 ? [0, 10, 60] : [0, 5];
/** How long the program may live, and how much of that is over when it is frozen, in s. */
const LIFETIME_S = 6;
const TOLERANCE_S = 2;

/** How far the guest's clock is ahead of the host's, in s. */
async function aheadS({ network }: Machine): Promise<number> {
  const status = (await unary(network, "snapshot.Snapshot/Status", {})) as { time: string };
  return (Date.parse(status.time) - Date.now()) / 1_000;
}

const isAlive = async (machine: Machine) =>
  (await machine.shell("ps | grep '[s]leep 4242' || true")) !== "";

describeVm("the clock and the timers", () => {
  test.for(PAUSES_S)("are right after a pause of %i s", async (pauseS) => {
    await using rig = new Rig(ENVD);
    const parent = await rig.boot();
    const headers = { "connect-timeout-ms": String(LIFETIME_S * 1_000) };
    await unary(parent.network, "process.Process/Start", start("exec sleep 4242"), headers);
    const snapshot = await parent.snapshot();
    await parent.end();
    await delay(pauseS * 1_000);

    const machine = await rig.restore(snapshot);
    await machine.resume();
    const resumedAt = performance.now();
    await firstAnswer(machine.network);
    const before = await aheadS(machine);
    const body = JSON.stringify({ timestamp: new Date().toISOString() });
    const answer = await getOnce(machine.network, "/init", { method: "POST", body });
    const after = await aheadS(machine);
    const status = (await unary(machine.network, "snapshot.Snapshot/Status", {})) as {
      lastRestore: { clockMoved?: string };
    };
    const wasAlive = await isAlive(machine);
    const ended = { timeout: (LIFETIME_S + TOLERANCE_S) * 1_000, interval: 100 };
    await expect.poll(() => isAlive(machine), ended).toBe(false);
    const livedS = (performance.now() - resumedAt) / 1_000;

    report(`The clock after a pause of ${pauseS} s`, [
      ["", ""],
      ["guest's clock, first answer", `${before.toFixed(1)} s`],
      ["after /init", `${after.toFixed(2)} s`],
      ["clock moved, as reported", status.lastRestore.clockMoved ?? "not"],
      [`a program with ${LIFETIME_S} s to live went on for`, `${livedS.toFixed(1)} s`],
    ]);
    expect(answer.status).toBe(204);
    expect(Math.abs(after)).toBeLessThan(0.5);
    if (pauseS > 0) expect(before).toBeLessThan(-pauseS + TOLERANCE_S);
    if (pauseS > 0)
      expect(Number.parseFloat(status.lastRestore.clockMoved ?? "0")).toBeGreaterThan(
        pauseS - TOLERANCE_S,
      );
    expect(wasAlive, "no timer has fired early").toBe(true);
    expect(livedS).toBeLessThan(LIFETIME_S + TOLERANCE_S);
  });
});
