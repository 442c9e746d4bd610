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
const TOLERANCE_S = 3;
/** A busy machine kills late, and a timer that began anew after the restore would be later still. */
const LATE_S = 5;

/** How far the guest's clock is ahead of the host's, in s. */
async function aheadS({ network }: Machine): Promise<number> {
  const status = (await unary(network, "snapshot.Snapshot/Status", {})) as { time: string };
  return (Date.parse(status.time) - Date.now()) / 1_000;
}

const isAlive = async (machine: Machine) =>
  (await machine.shell("ps | grep '[s]leep 4242' || true")) !== "";

/** When the program was last seen alive and when it was seen gone, in s. Looking takes its time. */
async function endOf(machine: Machine, since: number): Promise<{ aliveS: number; goneS: number }> {
  const passedS = () => (performance.now() - since) / 1_000;
  let aliveS = 0;
  for (let askedS = passedS(); await isAlive(machine); askedS = passedS()) {
    aliveS = askedS;
    await delay(100);
  }
  return { aliveS, goneS: passedS() };
}

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
    const setAt = performance.now();
    const body = JSON.stringify({ timestamp: new Date().toISOString() });
    const answer = await getOnce(machine.network, "/init", { method: "POST", body });
    const after = await aheadS(machine);
    const callsS = (performance.now() - setAt) / 1_000;
    const status = (await unary(machine.network, "snapshot.Snapshot/Status", {})) as {
      lastRestore: { clockMoved?: string };
    };
    const { aliveS, goneS } = await endOf(machine, resumedAt);

    report(`The clock after a pause of ${pauseS} s`, [
      ["", ""],
      ["guest's clock, first answer", `${before.toFixed(1)} s`],
      ["after /init", `${after.toFixed(2)} s`],
      ["clock moved, as reported", status.lastRestore.clockMoved ?? "not"],
      [`a program with ${LIFETIME_S} s to live went on for`, `${goneS.toFixed(1)} s`],
    ]);
    expect(answer.status).toBe(204);
    // What was told is as old as the call, and what is compared as old as its answer. An emulated clock
    // may have run ahead while the host was busy, and up to 5 s of that are left as they are.
    if (before < 0) expect(Math.abs(after)).toBeLessThan(0.3 + callsS);
    if (pauseS > 0) expect(before).toBeLessThan(-pauseS + TOLERANCE_S);
    if (pauseS > 0)
      expect(Number.parseFloat(status.lastRestore.clockMoved ?? "0")).toBeGreaterThan(
        pauseS - TOLERANCE_S,
      );
    expect(goneS, "no timer has fired early").toBeGreaterThan(LIFETIME_S - TOLERANCE_S);
    expect(aliveS, "it was not late").toBeLessThan(LIFETIME_S + LATE_S);
  });
});
