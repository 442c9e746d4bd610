import { execFile } from "node:child_process";
import { readFileSync } from "node:fs";
import { promisify } from "node:util";
import { expect } from "vitest";
import { test } from "../helpers/agent.ts";

const run = promisify(execFile);

/** What an example prints when it is pointed at an agent and a directory of its own. */
async function printed(example: string, url: string, directory: string): Promise<string[]> {
  const { stdout } = await run(process.execPath, [`examples/${example}`, url, directory]);
  return stdout.trimEnd().split("\n");
}

test("examples/copy-files.ts brings a file there and back", async ({ agent }) => {
  const lines = await printed("copy-files.ts", agent.url, agent.directory);

  expect(lines.slice(-2)).toEqual(["sent 100 %", "the same"]);
  const back = readFileSync(`${agent.directory}/thaw-example.back`);
  expect(back.equals(readFileSync("package.json"))).toBe(true);
});

test("examples/watch.ts tells what happens in a directory", async ({ agent }) => {
  const lines = await printed("watch.ts", agent.url, agent.directory);

  expect(lines[0]).toBe("create thaw-example");
  expect(lines.at(-1)).toBe("write thaw-example");
});
