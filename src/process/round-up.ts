import { nextTurn } from "../lib/turns.ts";
import type { KillPen } from "../system/kill-pen.ts";
import { type Program, readProgram, signalProgram } from "../system/programs.ts";
import type { Reach } from "./reach.ts";

/** How long programs are gathered, in ms; after that those who were caught are killed. */
const GATHER_MS = 1_000;
/** How long others wait for their turn meanwhile, in ms. */
const SLICE_MS = 2;
const SIGKILL = 9;

/**
 * Kills all within reach, also those that come and go faster than the list of all programs can be
 * read: gathers them in `pens`, where they stand still, until nobody new is found. Returns whom it
 * has killed. Who cannot be moved is left as it was. Rejects when a pen was removed by somebody
 * else.
 */
export async function killRoundedUp(reach: Reach, pens: readonly KillPen[]): Promise<Program[]> {
  await gather(reach, pens);
  const killed: Program[] = [];
  for (const pen of pens) {
    const isExact = await sortOut(reach, pen);
    const members = programsIn(pen).filter(({ pid }) => isExact || reach.has(pid));
    if (isExact && pen.kill()) killed.push(...members);
    else killed.push(...members.filter((member) => signalProgram(member, SIGKILL)));
  }
  return killed;
}

async function gather(reach: Reach, pens: readonly KillPen[]): Promise<void> {
  const until = performance.now() + GATHER_MS;
  const seen = new Set<string>();
  for (let isMore = true; isMore && performance.now() < until; ) {
    isMore = false;
    for (const { pid, startedAt } of await reach.members()) {
      if (seen.has(`${pid} ${startedAt}`)) continue;
      seen.add(`${pid} ${startedAt}`);
      isMore = true;
      pens[0]?.take(pid);
    }
    if (await takeNewborn(reach, pens, until)) isMore = true;
    for (const pen of pens) await sortOut(reach, pen);
  }
}

/**
 * Takes those in that are too young for the scan, until there is nobody new but strangers. Returns
 * whether somebody within reach was among them.
 */
async function takeNewborn(
  reach: Reach,
  pens: readonly KillPen[],
  until: number,
): Promise<boolean> {
  let isCaught = false;
  for (let slice = performance.now(); slice < until; ) {
    const seen = pens.map((pen) => takeNew(reach, pen));
    if (seen.includes("within")) isCaught = true;
    if (seen.every((who) => who === "strangers")) break;
    if (performance.now() - slice < SLICE_MS) continue;
    await nextTurn();
    slice = performance.now();
  }
  return isCaught;
}

/**
 * First takes whoever is new and then looks at them, for those who are looked at first are gone by
 * then. Strangers go back at once. Who is `gone` may have started another before.
 */
function takeNew(reach: Reach, pen: KillPen): "within" | "gone" | "strangers" {
  let seen: "within" | "gone" | "strangers" = "strangers";
  for (const pid of pen.takeNew()) {
    if (reach.has(pid)) {
      seen = "within";
      continue;
    }
    if (seen === "strangers" && readProgram(pid) === undefined) seen = "gone";
    pen.release(pid);
  }
  return seen;
}

/** Sends back who is not within reach. Returns whether nobody else can be in the pen now. */
async function sortOut(reach: Reach, pen: KillPen): Promise<boolean> {
  const isAtRest = await pen.rest();
  for (const pid of pen.members()) {
    if (!reach.has(pid)) pen.release(pid);
  }
  return isAtRest;
}

function programsIn(pen: KillPen): Program[] {
  return pen.members().flatMap((pid) => readProgram(pid) ?? []);
}
