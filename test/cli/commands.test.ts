import { writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { describe, expect, vi } from "vitest";
import { HOST_COMMANDS } from "../../src/cli/commands.ts";
import { test } from "../helpers/agent.ts";
import { LAUNCHER } from "../helpers/binary.ts";
import { runProgram } from "../helpers/run-program.ts";
import { Terminal } from "../helpers/terminal.ts";
import { RunningThaw, thaw } from "../helpers/thaw.ts";

const NAMES = HOST_COMMANDS.map(({ name }) => name);

describe("help", () => {
  test("fits a screen, and names every command", async () => {
    const { code, stdout } = await thaw(["--help"]);
    const lines = stdout.split("\n");

    expect(code).toBe(0);
    expect(lines.length).toBeLessThanOrEqual(24);
    expect(Math.max(...lines.map((line) => line.length))).toBeLessThanOrEqual(80);
    for (const name of NAMES) {
      for (const word of name.split(" ")) expect(stdout).toMatch(new RegExp(`\\b${word}\\b`));
    }
  });

  test.for(NAMES)("of %s fits a screen", async (name) => {
    const { code, stdout, stderr } = await thaw(["help", ...name.split(" ")]);
    const lines = stdout.split("\n");

    expect([code, stderr]).toEqual([0, ""]);
    expect(lines[0]).toContain(`Usage: thaw ${name}`);
    expect(lines.length).toBeLessThanOrEqual(24);
    expect(Math.max(...lines.map((line) => line.length))).toBeLessThanOrEqual(80);
  });
});

describe("a configuration file", () => {
  test("names targets, their tokens and a default", async ({ agent }) => {
    const file = join(agent.directory, "config.json");
    const box = { url: agent.url, user: "root" };
    writeFileSync(file, JSON.stringify({ targets: { box }, default: "box" }));
    const env = { THAW_CONFIG: file };

    const named = await thaw(["exec", "box", "--", "id", "-un"], { env });
    const byDefault = await thaw(["exec", "--", "id", "-un"], { env });
    const byColon = await thaw(["exec", ":", "id", "-un"], { env });
    const path = await thaw(["ls", agent.directory], { env });

    expect([named, byDefault, byColon].map(({ stdout }) => stdout)).toEqual(
      Array(3).fill("root\n"),
    );
    expect(path.stdout).toContain("config.json");
  });
});

describe("a token", () => {
  test.override({ config: { accessToken: "secret" } });

  test("comes from the variable, the fragment or the file, and is asked for", async ({ agent }) => {
    const file = join(agent.directory, "config.json");
    const targets = { box: { url: agent.url, token: "secret" } };
    writeFileSync(file, JSON.stringify({ targets }));

    const none = await thaw(["ps", agent.url]);
    const byVariable = await thaw(["ps", agent.url], { env: { THAW_TOKEN: "secret" } });
    const byFragment = await thaw(["ps", `${agent.url}/#token=secret`]);
    const byFile = await thaw(["ps", "box"], { env: { THAW_CONFIG: file } });

    expect(none).toMatchObject({ code: 1, stderr: expect.stringContaining("THAW_TOKEN") });
    expect([byVariable.code, byFragment.code, byFile.code]).toEqual([0, 0, 0]);
  });
});

describe("completion", () => {
  const words = async (...typed: string[]) =>
    (await thaw(["completion", "words", "--", ...typed])).stdout.trim().split("\n");

  test("knows commands, flags and targets", async ({ agent }) => {
    const file = join(agent.directory, "config.json");
    writeFileSync(file, JSON.stringify({ targets: { box: { url: agent.url } } }));
    const env = { THAW_CONFIG: file };

    expect(await words("sn")).toEqual(["snapshot"]);
    expect(await words("snapshot", "")).toEqual(["prepare", "restore", "status"]);
    expect(await words("exec", "--ta")).toEqual(["--tag"]);
    expect(await words("completion", "")).toEqual(["bash", "zsh", "fish"]);
    const target = await thaw(["completion", "words", "--", "ps", "b"], { env });
    expect(target.stdout).toBe("box\n");
  });

  test("works in bash", async () => {
    const script = `source <("${LAUNCHER}" completion bash)
      PATH="$(dirname "${LAUNCHER}"):$PATH"
      COMP_WORDS=(thaw snapshot pre) COMP_CWORD=2
      _thaw && echo "\${COMPREPLY[@]}"`;

    const { stdout, stderr } = await runProgram("bash", ["-c", script]);

    expect({ stdout, stderr }).toEqual({ stdout: "prepare\n", stderr: "" });
  });

  test("works in fish", async () => {
    const script = `set -x PATH "$(dirname "${LAUNCHER}")" $PATH
      thaw completion fish | source
      complete -C "thaw snapshot pre"`;

    const { stdout, stderr } = await runProgram("fish", ["--no-config", "-c", script]);

    expect({ stdout, stderr }).toEqual({ stdout: "prepare\n", stderr: "" });
  });

  test("works in zsh", async ({ agent }) => {
    const env = { PATH: `${dirname(LAUNCHER)}:${process.env["PATH"]}`, PS1: "ready" };
    const options = { command: "zsh", env };
    await using terminal = await Terminal.open(agent.url, ["-f", "-i"], options);
    // What is typed before it shows its prompt may be lost.
    await terminal.until("ready");
    await terminal.type(`autoload -Uz compinit; compinit -u -D; source <(thaw completion zsh)\r`);
    await terminal.type("echo set-up\r");
    await terminal.until(/\nset-up[^]*ready/);

    await terminal.type("thaw snapshot pre\t");

    await terminal.until("thaw snapshot prepare");
    await terminal.type("\x03");
    await terminal.type("exit\r");
    await terminal.exitCode();
  });
});

describe("the health of a guest", () => {
  test("is told in lines, and as JSON", async ({ agent }) => {
    const { code, stdout } = await thaw(["doctor", agent.url]);
    const json = await thaw(["doctor", "--json", agent.url]);
    const nobody = await thaw(["doctor", "127.0.0.1:1"]);

    expect(code).toBe(0);
    expect(stdout).toMatch(
      /^ok {2}reach .*\nok {2}token .*\nok {2}clock .*\nok {2}life .*\nok {2}connections .*\nok {2}awake .*\n$/,
    );
    expect(JSON.parse(json.stdout)).toHaveLength(6);
    expect(nobody).toMatchObject({ code: 1, stdout: expect.stringMatching(/^!! {2}reach /) });
  });

  test("is bad when its clock is not ours", async ({ agent }) => {
    // Ours is a minute behind.
    const shift = "const%20now=Date.now;Date.now=()=>now()-60000";
    const env = { THAW_NODE_OPTIONS: `--import=data:text/javascript,${shift}` };

    const { code, stdout } = await thaw(["doctor", agent.url], { env });

    expect(code).toBe(1);
    expect(stdout).toMatch(
      /^!! {2}clock +\+(1m|60|59).* from ours: thaw snapshot restore sets it$/m,
    );
  });

  test("is not at rest while a stream is open, and goes on with it when it was not frozen", async ({
    agent,
  }) => {
    await using running = new RunningThaw(["exec", agent.url, "--", "sh", "-c", "echo; sleep 100"]);
    await vi.waitFor(() => expect(running.stdout).toBe("\n"), { timeout: 20_000 });

    const prepared = await thaw(["snapshot", "prepare", agent.url]);
    const aborted = await thaw(["snapshot", "restore", "--aborted", agent.url]);

    expect(prepared).toMatchObject({ code: 1, stdout: expect.stringMatching(/^NOT at rest/) });
    expect(aborted.code).toBe(0);
    expect(running.stderr).toBe("");
    await thaw(["snapshot", "prepare", agent.url]);
    await thaw(["snapshot", "restore", agent.url]);
    await vi.waitFor(() => expect(running.stderr).toContain("was cut"), { timeout: 20_000 });
    running.child.kill("SIGTERM");
    await running.exited;
  });

  test("goes through a snapshot", async ({ agent }) => {
    const before = await thaw(["snapshot", "status", agent.url]);
    const prepared = await thaw(["snapshot", "prepare", agent.url]);
    const restored = await thaw(["snapshot", "restore", "--json", agent.url]);

    expect(before.stdout).toMatch(/^state +running\n[\s\S]*ID +PROTOCOL +PEER/);
    expect(prepared).toMatchObject({ code: 0, stdout: expect.stringMatching(/^at rest /) });
    expect(JSON.parse(restored.stdout)).toMatchObject({ generation: "2" });
  });
});
