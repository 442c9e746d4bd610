import { createHash } from "node:crypto";
import { expect, test } from "vitest";
import {
  firstAnswer,
  getOnce,
  type HeldClient,
  KINDS,
  openEveryKind,
  PORT,
  unary,
} from "./clients.ts";
import { describeVm } from "./describe-vm.ts";
import { ENVD, type Machine, Rig } from "./rig/machine.ts";
import { guestSockets, report } from "./tables.ts";

const PREPARE = { method: "POST", timeoutMs: 20_000 };
const prepare = (machine: Machine) => getOnce(machine.network, "/snapshot/prepare", PREPARE);

function drop(clients: readonly HeldClient[]): void {
  for (const { socket } of clients) socket.destroy();
}

/** How many of `clients` the guest still holds once nothing of it changes any more. */
async function leftOf(machine: Machine, clients: readonly HeldClient[]): Promise<number> {
  await expect.poll(() => stateOf(machine), { timeout: 20_000 }).toBe("STATE_RUNNING");
  const ports = new Set(clients.map(({ port }) => port));
  return (await guestSockets(machine)).filter(({ port }) => ports.has(port)).length;
}

async function stateOf({ network }: Machine): Promise<string> {
  const status = (await unary(network, "snapshot.Snapshot/Status", {})) as { state: string };
  return status.state;
}

/** Freezes `machine`, ends it, and wakes another one elsewhere. */
async function moveOn(rig: Rig, machine: Machine): Promise<{ machine: Machine; answerMs: number }> {
  const snapshot = await machine.snapshot();
  await machine.end();
  const restored = await rig.restore(snapshot);
  await restored.resume();
  return { machine: restored, answerMs: await firstAnswer(restored.network) };
}

const rows: (string | number)[][] = [["order of calls", "first answer", "zombies"]];
const note = (title: string, answerMs: number, zombies: number) => {
  rows.push([title, `${Math.round(answerMs)} ms`, zombies]);
  expect(zombies).toBe(0);
};

describeVm("whatever a host calls", () => {
  test("every order heals", async () => {
    await using rig = new Rig(ENVD);
    let machine = await rig.boot();
    let clients = await openEveryKind(machine.network);
    let answerMs: number;

    ({ machine, answerMs } = await moveOn(rig, machine));
    note("no Prepare", answerMs, await leftOf(machine, clients));
    drop(clients);

    clients = await openEveryKind(machine.network);
    expect((await prepare(machine)).status).toBe(204);
    ({ machine, answerMs } = await moveOn(rig, machine));
    note("Prepare, then a restore of a restore", answerMs, await leftOf(machine, clients));
    drop(clients);

    clients = await openEveryKind(machine.network);
    const caller = await machine.network.connect(PORT);
    caller.write("POST /snapshot/prepare HTTP/1.1\r\nhost: guest\r\ncontent-length: 0\r\n\r\n");
    await expect.poll(() => stateOf(machine)).toMatch(/STATE_PREPAR/);
    caller.destroy();
    ({ machine, answerMs } = await moveOn(rig, machine));
    note("a Prepare whose caller did not wait", answerMs, await leftOf(machine, clients));
    drop(clients);

    clients = await openEveryKind(machine.network);
    await prepare(machine);
    await prepare(machine);
    ({ machine, answerMs } = await moveOn(rig, machine));
    note("Prepare twice", answerMs, await leftOf(machine, clients));
    drop(clients);

    clients = await openEveryKind(machine.network);
    await prepare(machine);
    await machine.snapshot();
    await machine.resume();
    await firstAnswer(machine.network);
    // All but the two idle ones, which Prepare has closed.
    expect(await leftOf(machine, clients)).toBe(KINDS.length - 2);
    await prepare(machine);
    ({ machine, answerMs } = await moveOn(rig, machine));
    note(
      "Two snapshots in a row, it ran on after the first",
      answerMs,
      await leftOf(machine, clients),
    );
    drop(clients);

    report("Orders of calls", rows);
  });

  test("a pause that did not come about cuts no stream", async () => {
    await using rig = new Rig(ENVD);
    const machine = await rig.boot();
    const clients = await openEveryKind(machine.network);
    await prepare(machine);
    await machine.pause();
    await machine.resume();

    const answerMs = await firstAnswer(machine.network);
    const left = await leftOf(machine, clients);

    report("A pause that did not come about", [
      ["", ""],
      ["first answer", `${Math.round(answerMs)} ms`],
      ["streams alive", `${left} of ${KINDS.length - 2}`],
    ]);
    // The two that were idle were closed by Prepare.
    expect(left).toBe(KINDS.length - 2);
    drop(clients);
  });

  test("an upload that a snapshot cuts leaves the old file, and can be sent again", async () => {
    await using rig = new Rig(ENVD);
    let machine = await rig.boot();
    const old = "the old content";
    await machine.shell(`echo -n '${old}' > /tmp/uploaded`);
    const clients = await openEveryKind(machine.network);
    ({ machine } = await moveOn(rig, machine));
    await leftOf(machine, clients);
    drop(clients);

    const kept = await getOnce(machine.network, "/files?path=/tmp/uploaded");
    const fresh = "new content ".repeat(10_000);
    const again = await getOnce(machine.network, "/files?path=/tmp/uploaded", {
      method: "POST",
      body: fresh,
      type: "application/octet-stream",
    });
    const hash = await machine.shell("sha256sum /tmp/uploaded; ls -A /tmp");

    expect(kept).toEqual({ status: 200, body: old });
    expect(again.status).toBe(200);
    expect(hash).toContain(createHash("sha256").update(fresh).digest("hex"));
    expect(hash, "no temporary file is left").not.toMatch(/\.upload-|\.tmp/);
  });
});
