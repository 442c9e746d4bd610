import { timestampMs } from "@bufbuild/protobuf/wkt";
import { GuestError } from "../client/index.ts";
import { durationText } from "./amounts.ts";
import type { HostCall } from "./host-call.ts";
import type { HostCommand, NamedGuest } from "./host-command.ts";
import { jsonText } from "./json-text.ts";
import { shown } from "./shown.ts";
import { stateText } from "./snapshot.ts";

/** Clocks that differ by more make certificates, signatures and `make` go wrong, in ms. */
const CLOCK_LIMIT_MS = 2_000;

/** One thing that was looked at. */
interface Finding {
  topic: string;
  isWell: boolean;
  text: string;
}

/** Looks at a guest from its host. */
export const DOCTOR: HostCommand = {
  name: "doctor",
  operands: "[TARGET] | clones [TARGET...]",
  summary: "look at a guest: reach, versions, clock, connections, what is awake",
  flags: [{ flags: "--json", help: "for programs" }],
  notes: `With "clones": shows which life of its machine each guest is in, and whether two
would draw the same random numbers. Exits with 1 when something is wrong.`,
  run: doctor,
};

async function doctor(call: HostCall): Promise<number> {
  const [first, ...others] = call.operands;
  if (first === "clones") return await compareClones(call, others);
  const [named] = call.targetAnd(0, 0);
  const findings = await examine(named);
  process.stdout.write(
    call.has("json")
      ? jsonText(findings)
      : findings
          .map(({ topic, isWell, text }) => `${isWell ? "ok" : "!!"}  ${topic.padEnd(13)}${text}\n`)
          .join(""),
  );
  return findings.every(({ isWell }) => isWell) ? 0 : 1;
}

async function examine({ guest }: NamedGuest): Promise<Finding[]> {
  const findings: Finding[] = [];
  const look = async (topic: string, at: () => Promise<string | Finding>): Promise<boolean> => {
    try {
      const found = await at();
      findings.push(typeof found === "string" ? { topic, isWell: true, text: found } : found);
      return true;
    } catch (reason) {
      findings.push({ topic, isWell: false, text: messageOf(reason) });
      return false;
    }
  };
  const isReached = await look("reach", async () => {
    const start = performance.now();
    const version = await guest.version();
    const took = (performance.now() - start).toFixed(1);
    return `${guest.url} answers in ${took} ms, contract ${version || "unknown"}`;
  });
  if (!isReached) return findings;
  await look("token", async () => {
    const all = await guest.process.list();
    return `taken; ${all.length} programs run`;
  });
  try {
    findings.push(...(await snapshotFindings(guest)));
  } catch (reason) {
    findings.push({ topic: "snapshots", isWell: false, text: messageOf(reason) });
  }
  return findings;
}

async function snapshotFindings(guest: NamedGuest["guest"]): Promise<Finding[]> {
  const before = Date.now();
  const status = await guest.snapshot.status();
  // The guest said its time somewhere in between.
  const here = (before + Date.now()) / 2;
  const away = status.time === undefined ? 0 : timestampMs(status.time) - here;
  const { generation, generationId, epoch, connections, awake } = status;
  const old = connections.filter((one) => one.epoch < epoch).length;
  const calls = connections.reduce((sum, { openStreams }) => sum + openStreams, 0);
  const isOff = Math.abs(away) > CLOCK_LIMIT_MS;
  const clock = `${away < 0 ? "-" : "+"}${durationText(Math.abs(away))} from ours`;
  return [
    {
      topic: "clock",
      isWell: !isOff,
      text: isOff ? `${clock}: thaw snapshot restore sets it` : clock,
    },
    {
      topic: "life",
      isWell: true,
      text: `${stateText(status.state)}, generation ${generation} (${generationId})`,
    },
    {
      topic: "connections",
      isWell: old === 0,
      text: `${connections.length} open, ${calls} calls, ${old} from before the last restore`,
    },
    {
      topic: "awake",
      isWell: true,
      text: awake.length === 0 ? "nothing" : awake.map(shown).join("; "),
    },
  ];
}

/** Prints a line for each guest and a verdict. Returns the exit code. */
async function compareClones(call: HostCall, targets: readonly string[]): Promise<number> {
  const named = (targets.length === 0 ? [undefined] : targets).map((one) => call.open(one));
  const lives = await Promise.all(named.map(lifeOf));
  const known = lives.filter(({ id }) => id !== "");
  for (const { url, generation, id } of lives) {
    process.stdout.write(`${generation.padEnd(14)}${id.padEnd(24)}${url}\n`);
  }
  const isEachAnother = new Set(known.map(({ id }) => id)).size === known.length;
  const verdict = isEachAnother ? "they differ" : "TWO ARE THE SAME: send each its own entropy";
  process.stdout.write(known.length > 1 ? `${verdict}\n` : "");
  return isEachAnother && known.length === lives.length ? 0 : 1;
}

async function lifeOf({ guest }: NamedGuest): Promise<{
  url: string;
  generation: string;
  id: string;
}> {
  const { url } = guest;
  try {
    const { generation, generationId } = await guest.snapshot.status();
    return { url, generation: `generation ${generation}`, id: generationId };
  } catch (reason) {
    process.stderr.write(`thaw: ${url}: ${messageOf(reason)}\n`);
    return { url, generation: "no answer", id: "" };
  }
}

function messageOf(reason: unknown): string {
  if (reason instanceof GuestError && reason.kind === "unauthenticated") {
    return `${reason.message}: set THAW_TOKEN`;
  }
  return reason instanceof Error ? reason.message : String(reason);
}
