import { readFileSync } from "node:fs";
import { setTimeout as delay } from "node:timers/promises";
import { expect, test } from "vitest";
import { firstAnswer, getOnce, start, unary } from "./clients.ts";
import { describeVm } from "./describe-vm.ts";
import { ENVD, type Machine, Rig } from "./rig/machine.ts";
import { median, report } from "./tables.ts";

/** What is left of a call after its answer, its line in the log most of all, is done by then, in ms. */
const SETTLED_MS = 500;
/** How long the time between the answer to Prepare and the freeze is made, in ms. */
const WINDOW_MS = 3_000;
/** How often all threads together may run in that time; an agent at rest does not at all. */
const MOST_SWITCHES = 20;
const CLONES = 8;
/** Counts the pages of a process that were written to since its record was cleared. */
const COUNT_DIRTY = `
const { openSync, readSync, readFileSync } = require("node:fs");
const pid = process.argv[2];
const map = openSync("/proc/" + pid + "/pagemap", "r");
let dirty = 0;
for (const line of readFileSync("/proc/" + pid + "/maps", "latin1").split("\\n")) {
  const [from, to] = line.split(" ")[0].split("-").map((text) => parseInt(text, 16) / 4096);
  if (!(to > from) || line.includes("[v")) continue;
  for (let at = from; at < to; at += 65536) {
    const bytes = Buffer.alloc(8 * Math.min(65536, to - at));
    const got = readSync(map, bytes, 0, bytes.length, at * 8);
    for (let entry = 6; entry < got; entry += 8) if (bytes[entry] & 0x80) dirty += 1;
  }
}
console.log(dirty);
`;

interface Window {
  dirtyPages: number;
  /** Until it has settled. */
  firstSwitches: number;
  /** From then on. */
  switches: number;
  privateKib: number;
  /** All the guest's memory but what is free: what a snapshot without free pages holds. */
  inUseKib: number;
}

const agentPid = (machine: Machine) =>
  machine.shell("ps | grep '[t]haw\\|[s]tart.cjs' | head -1 | awk '{print $1}'");

/** What the agent is given to do before, so that there is something to tidy up. */
async function work(machine: Machine): Promise<void> {
  for (let round = 0; round < 20; round += 1) {
    await unary(machine.network, "process.Process/Start", start("head -c 4000000 /dev/zero"));
    await getOnce(machine.network, "/files?path=/app/dist/thaw.cjs");
  }
}

/** What the agent does while nobody asks anything of it. */
async function observe(machine: Machine): Promise<Window> {
  const pid = await agentPid(machine);
  const switches = async () => {
    const counts = await machine.shell(`cat /proc/${pid}/task/*/status | grep ctxt_switches`);
    return [...counts.matchAll(/\d+/g)].reduce((sum, [count]) => sum + Number(count), 0);
  };
  await machine.shell(`echo 4 > /proc/${pid}/clear_refs`);
  const before = await switches();
  await delay(SETTLED_MS);
  const settled = await switches();
  await delay(WINDOW_MS - SETTLED_MS);
  const after = await switches();
  const dirtyPages = Number(await machine.shell(`node /app/count-dirty.cjs ${pid}`));
  const rollup = await machine.shell(`cat /proc/${pid}/smaps_rollup`);
  const privateKib = Number(/Private_Dirty:\s+(\d+)/.exec(rollup)?.[1]);
  const memory = await machine.shell("cat /proc/meminfo");
  const [total = 0, free = 0] = ["MemTotal", "MemFree"].map((name) =>
    Number(new RegExp(`${name}:\\s+(\\d+)`).exec(memory)?.[1]),
  );
  return {
    dirtyPages,
    firstSwitches: settled - before,
    switches: after - settled,
    privateKib,
    inUseKib: total - free,
  };
}

/** What of its memory is this machine's own and no other's, in KiB. */
function ownKib({ pid }: Machine): number {
  const maps = readFileSync(`/proc/${pid}/smaps`, "latin1").split(/^(?=[0-9a-f]+-[0-9a-f]+ )/m);
  const memory = maps.filter((map) => map.includes("/memory"));
  return memory.reduce((sum, map) => sum + Number(/Anonymous:\s+(\d+)/.exec(map)?.[1]), 0);
}

const files = { "count-dirty.cjs": COUNT_DIRTY };
const mib = (kib: number) => `${(kib / 1024).toFixed(1)} MiB`;

describeVm("what a snapshot costs", () => {
  test("the agent rests between the answer to Prepare and the freeze", async () => {
    await using rig = new Rig(ENVD, files);
    const machine = await rig.boot();
    await work(machine);
    const without = await observe(machine);
    const answer = await getOnce(machine.network, "/snapshot/prepare", {
      method: "POST",
      timeoutMs: 10_000,
    });
    const quiesced = await observe(machine);

    report(`The agent in the ${WINDOW_MS / 1_000} s after it has worked`, [
      ["", "after Prepare", "without"],
      ["pages written to", quiesced.dirtyPages, without.dirtyPages],
      ["context switches in the first 0.5 s", quiesced.firstSwitches, without.firstSwitches],
      ["context switches after that", quiesced.switches, without.switches],
      ["memory of its own", mib(quiesced.privateKib), mib(without.privateKib)],
      ["a snapshot without free pages", mib(quiesced.inUseKib), mib(without.inUseKib)],
    ]);
    expect(answer.status).toBe(204);
    expect(quiesced.switches).toBeLessThan(MOST_SWITCHES);
    expect(quiesced.privateKib).toBeLessThan(without.privateKib);
  });

  test("clones share what none of them touches", async () => {
    await using rig = new Rig(ENVD);
    const parent = await rig.boot();
    await getOnce(parent.network, "/snapshot/prepare", { method: "POST", timeoutMs: 10_000 });
    const snapshot = await parent.snapshot();
    await parent.end();
    const idle: number[] = [];
    const used: number[] = [];
    for (let clone = 0; clone < CLONES; clone += 1) {
      const machine = await rig.restore(snapshot);
      await machine.resume();
      await delay(1_000);
      idle.push(ownKib(machine));
      await firstAnswer(machine.network);
      await unary(machine.network, "process.Process/Start", start("true"));
      used.push(ownKib(machine));
      await machine.end();
    }

    report("What each of eight clones adds to the memory they share", [
      ["", "median"],
      ["in its first second, idle", mib(median(idle))],
      ["after its first program", mib(median(used))],
      ["the snapshot they share", mib(snapshot.bytes / 1024)],
    ]);
    expect(median(used) * 1024).toBeLessThan(snapshot.bytes);
  });
});
