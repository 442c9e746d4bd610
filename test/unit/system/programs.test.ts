import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { expect, test } from "vitest";
import { hasMark, newMark, withMark } from "../../../src/system/mark.ts";
import { commandOf, readProgram, signalProgram } from "../../../src/system/programs.ts";

const SIGKILL = 9;

async function withSleeper(body: (child: ChildProcess, pid: number) => Promise<void>) {
  const child = spawn("sleep", ["1000"], { stdio: "ignore" });
  await once(child, "spawn");
  try {
    await body(child, child.pid as number);
  } finally {
    child.kill("SIGKILL");
  }
}

test("a signal never reaches another program that has got the pid", () =>
  withSleeper(async (child, pid) => {
    const program = readProgram(pid);
    if (program === undefined) throw new Error("it does not run");

    expect(signalProgram({ ...program, startedAt: program.startedAt - 1 }, SIGKILL)).toBe(false);
    expect(child.exitCode).toBeNull();
    expect(commandOf(pid)).toBe("sleep 1000");

    expect(signalProgram(program, SIGKILL)).toBe(true);
    await once(child, "exit");
    expect(signalProgram(program, SIGKILL)).toBe(false);
  }));

test("a mark is on what is started with it and what that starts, and on nothing else", async () => {
  const mark = newMark();
  const marked = withMark(mark, () => spawn("setsid", ["sh", "-c", "sleep 1000 & echo $!; wait"]));
  const [chunk] = (await once(marked.stdout, "data")) as [Buffer];
  const below = Number(chunk.toString());

  await withSleeper(async (_, pid) => {
    expect(hasMark(below, mark)).toBe(true);
    expect(hasMark(pid, mark)).toBe(false);
    expect(hasMark(process.pid, mark)).toBe(false);
    await Promise.resolve();
  });

  for (const pid of [below, marked.pid as number]) process.kill(pid, "SIGKILL");
  await once(marked, "close");
});

test("a program that carries a mark itself carries it on after it has given others theirs", async () => {
  const own = newMark();
  const script = `
    import { newMark, withMark } from ${JSON.stringify(new URL("../../../src/system/mark.ts", import.meta.url).href)};
    withMark(newMark(), () => {});
    console.log(process.pid);
    setInterval(() => {}, 1_000);
  `;
  const args = ["--input-type=module", "-e", script];
  const marked = withMark(own, () => spawn(process.execPath, args));
  try {
    await once(marked.stdout, "data");

    expect(hasMark(marked.pid as number, own)).toBe(true);
  } finally {
    marked.kill("SIGKILL");
  }
});
