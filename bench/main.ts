/**
 * `npm run bench -- [--url URL] [--token TOKEN] [--build DIRECTORY] [--only exec,stdout,…] [--quick]
 * [--rounds N]`: measures an envd-compatible agent, or thaw itself when no URL is given.
 */
import { execFileSync } from "node:child_process";
import { existsSync } from "node:fs";
import { cpus } from "node:os";
import { parseArgs } from "node:util";
import { BUILD, runningAgent, startThaw, type ThawOptions } from "./agent.ts";
import { copy } from "./copy.ts";
import { exec } from "./exec.ts";
import { files } from "./files.ts";
import { idle } from "./idle.ts";
import { output } from "./output.ts";
import { priority } from "./priority.ts";
import type { Question } from "./question.ts";
import { start as startUp } from "./start.ts";
import { viewer } from "./stopped-viewer.ts";
import { type Answer, printAnswer } from "./table.ts";

const QUESTIONS: Record<string, Question> = {
  exec,
  stdout: output,
  files,
  copy,
  idle,
  start: startUp,
  viewer,
  priority,
};

const { values } = parseArgs({
  options: {
    url: { type: "string" },
    token: { type: "string" },
    build: { type: "string" },
    only: { type: "string" },
    rounds: { type: "string" },
    quick: { type: "boolean", default: false },
  },
});

const names = values.only?.split(",") ?? Object.keys(QUESTIONS);
const unknown = names.filter((name) => !(name in QUESTIONS));
if (unknown.length > 0) {
  console.error(`unknown: ${unknown.join(", ")}; there are ${Object.keys(QUESTIONS).join(", ")}`);
  process.exit(2);
}
const isOurs = values.url === undefined;
if (isOurs && values.build === undefined && !existsSync(BUILD)) {
  execFileSync("npm", ["run", "--silent", "build"], { stdio: "inherit" });
}

const start = (options: ThawOptions) => startThaw({ build: values.build, ...options });
const begin = performance.now();
const cpu = cpus();
console.log(`${cpu.length} x ${cpu[0]?.model ?? "unknown"}, Node ${process.versions.node}`);

let missed = 0;
for (const name of names) {
  try {
    missed += printAnswer(await ask(QUESTIONS[name] as Question));
  } catch (reason) {
    console.error(`\n### ${name}: failed\n\n`, reason);
    missed += 1;
  }
}
const seconds = ((performance.now() - begin) / 1000).toFixed(0);
console.log(`\n${missed === 0 ? "all targets met" : `${missed} targets missed`}, ${seconds} s`);

/** Asks with a fresh agent, so that no question inherits what another left on the heap. */
async function ask(question: Question): Promise<Answer> {
  await using agent =
    values.url === undefined ? await start({}) : runningAgent(values.url, values.token);
  return await question({
    agent,
    startAnother: isOurs ? start : undefined,
    isQuick: values.quick,
    rounds: Number(values.rounds ?? 5),
  });
}
