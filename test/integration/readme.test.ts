import { execFile } from "node:child_process";
import { existsSync, readFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { promisify } from "node:util";
import { describe, expect, test } from "vitest";
import { test as agentTest } from "../helpers/agent.ts";

const run = promisify(execFile);
const readme = readFileSync("README.md", "utf8");
const documents = [
  "README.md",
  "CONTRIBUTING.md",
  "SECURITY.md",
  "CHANGELOG.md",
  "docs/architecture.md",
  "docs/protocol.md",
  "docs/client.md",
  "docs/snapshots.md",
  "docs/cli.md",
  "docs/client.md",
  "docs/web.md",
  "docs/node-notes.md",
  "docs/benchmarks.md",
];

/** The fenced blocks of the README whose first line says `marker`. */
function blocks(marker: RegExp): { argument: string; code: string }[] {
  return [...readme.matchAll(/^```(.*)\n([\s\S]*?)^```/gm)].flatMap(([, head = "", code = ""]) => {
    const match = marker.exec(head);
    return match === null ? [] : [{ argument: match[1] ?? "", code }];
  });
}

test.for(blocks(/file=(\S+)/))("the README shows $argument as it is", ({ argument, code }) => {
  expect(code).toBe(readFileSync(argument, "utf8"));
});

test("the README's test command is what CI runs", () => {
  const command = /Test it with `npm ci && (.+?)`/.exec(readme)?.[1];

  expect(command).toBe("npm test");
  expect(readFileSync(".ci/run", "utf8")).toContain(`\n${command} || status`);
});

test("the README is short enough to be read", () => {
  expect(readme.split("\n").length).toBeLessThanOrEqual(200);
});

test.for(documents)("every link in %s leads somewhere", (path) => {
  const links = [...readFileSync(path, "utf8").matchAll(/\]\(([^)#]+)(?:#[^)]*)?\)/g)].map(
    ([, to = ""]) => to,
  );
  const missing = links.filter(
    (to) => !/^https?:/.test(to) && !existsSync(join(dirname(path), to)),
  );

  expect(missing).toEqual([]);
});

test("every test that docs/node-notes.md names exists", () => {
  const named = [
    ...readFileSync("docs/node-notes.md", "utf8").matchAll(/`((?:unit|integration)\/[^`]+)`/g),
  ].map(([, name = ""]) => name);

  expect(named.length).toBeGreaterThan(5);
  expect(named.filter((name) => !existsSync(join("test", name)))).toEqual([]);
});

describe("the README's commands", () => {
  agentTest("run, one after the other, against an agent", async ({ agent }) => {
    const lines = blocks(/^sh run$/).flatMap(({ code }) => code.trimEnd().split("\n"));
    expect(lines.length).toBeGreaterThan(2);
    const answers: string[] = [];

    for (const line of lines) {
      const command = line.replaceAll("127.0.0.1:49983", `127.0.0.1:${agent.port}`);
      const { stdout } = await run("bash", [
        "-c",
        `set -e; PATH=$PWD/node_modules/.bin:$PATH; npx() { "$@"; }; ${command}`,
      ]);
      answers.push(stdout);
    }

    expect(JSON.parse(answers[0] ?? "")).toHaveProperty("connections");
    expect(JSON.parse(answers[1] ?? "")).toHaveProperty("mem_total");
    expect(JSON.parse(answers[2] ?? "")).toMatchObject([
      { path: "/tmp/thaw-readme.md", type: "file" },
    ]);
    expect(answers[3]).toBe("# thaw");
    await run("rm", ["/tmp/thaw-readme.md"]);
  });

  agentTest("and its program say what they shall", async ({ agent }) => {
    const env = { ...process.env, E2B_DEBUG: "true", E2B_SANDBOX_URL: agent.url };

    const { stdout } = await run(process.execPath, ["examples/run-command.ts"], { env });

    expect(stdout).toBe("hello from the guest\n\n");
  });
});

agentTest("examples/snapshot.ts brackets a snapshot", async ({ agent }) => {
  const { stdout } = await run(process.execPath, ["examples/snapshot.ts", agent.url]);

  expect(stdout).toBe("left when the machine was frozen: nothing\nawake in generation 2\n");
});
