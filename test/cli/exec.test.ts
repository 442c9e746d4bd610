import { createHash, randomBytes } from "node:crypto";
import { describe, expect, vi } from "vitest";
import { type TestAgent, test } from "../helpers/agent.ts";
import { CuttingProxy } from "../helpers/cutting-proxy.ts";
import { RunningThaw, thaw } from "../helpers/thaw.ts";

const sha256 = (bytes: Uint8Array) => createHash("sha256").update(bytes).digest("hex");
const portOf = (agent: TestAgent) => Number(new URL(agent.url).port);

describe("thaw exec", () => {
  test("keeps stdout and stderr apart, and exits with the program's own code", async ({
    agent,
  }) => {
    const script = "echo to stdout; echo to stderr >&2; exit 7";

    const result = await thaw(["exec", agent.url, "--", "sh", "-c", script]);

    expect(result).toMatchObject({ code: 7, stdout: "to stdout\n", stderr: "to stderr\n" });
  });

  test("exits with 128 and the number of the signal that ended it", async ({ agent }) => {
    const result = await thaw(["exec", agent.url, "--", "sh", "-c", "kill -9 $$"]);

    expect(result).toMatchObject({ code: 137 });
  });

  test("carries 16 MiB of anything both ways, and the end of stdin", async ({ agent }) => {
    const input = randomBytes(16 * 1024 * 1024);

    const { code, bytes, stderr } = await thaw(["exec", "-i", agent.url, "cat"], { input });

    expect({ code, stderr }).toEqual({ code: 0, stderr: "" });
    expect(sha256(bytes)).toBe(sha256(input));
  });

  test("gives no stdin without -i", async ({ agent }) => {
    const result = await thaw(["exec", agent.url, "cat"], { input: "not for the guest" });

    expect(result).toMatchObject({ code: 0, stdout: "" });
  });

  test("sets variables, directory and name, and leaves the program's flags to it", async ({
    agent,
  }) => {
    const own = ["-e", "A=1=2", "-e", "OF_HOST", "-w", "/usr/bin"];
    const command = ["sh", "-c", 'echo "$A $OF_HOST $PWD $1"', "-", "-e"];

    const result = await thaw(["exec", ...own, agent.url, ...command], {
      env: { OF_HOST: "here" },
    });

    expect(result).toMatchObject({ code: 0, stdout: "1=2 here /usr/bin -e\n" });
  });

  test("takes its own flags after the target when -- says where the program begins", async ({
    agent,
  }) => {
    const result = await thaw(["exec", agent.url, "-w", "/usr", "--", "pwd"]);

    expect(result).toMatchObject({ code: 0, stdout: "/usr\n" });
  });

  test.for(["SIGINT", "SIGTERM", "SIGHUP", "SIGQUIT"] as const)(
    "passes %s on",
    async (signal, { agent }) => {
      const name = signal.slice(3);
      const script = `trap 'echo got ${name}; exit 3' ${name}; echo ready; while :; do sleep 0.01; done`;
      await using running = new RunningThaw(["exec", agent.url, "--", "sh", "-c", script]);
      await vi.waitFor(() => expect(running.stdout).toContain("ready"), { timeout: 20_000 });

      running.child.kill(signal);

      expect(await running.exited).toBe(3);
      expect(running.stdout).toBe(`ready\ngot ${name}\n`);
    },
  );

  test("ends the program when nobody reads its output any more", async ({ agent }) => {
    await using running = new RunningThaw(["exec", agent.url, "yes"]);
    await vi.waitFor(() => expect(running.stdout).toContain("y"), { timeout: 20_000 });

    running.child.stdout.destroy();

    expect(await running.exited).toBe(141);
    await vi.waitFor(async () => {
      expect((await agent.process().list({})).processes).toEqual([]);
    });
  });

  test.for([["attach"], ["logs", "-f"]])(
    "leaves a program that was there before when nobody reads it any more: %s",
    async (command, { agent }) => {
      await thaw(["exec", "-d", "--tag", "job", agent.url, "yes"]);
      await using running = new RunningThaw([...command, agent.url, "job"]);
      await vi.waitFor(() => expect(running.stdout).toContain("y"), { timeout: 20_000 });

      running.child.stdout.destroy();

      expect(await running.exited).toBe(141);
      expect((await agent.process().list({})).processes).toMatchObject([{ tag: "job" }]);
      await thaw(["kill", "-s", "KILL", agent.url, "job"]);
    },
  );

  test("goes on when nobody reads its stderr any more", async ({ agent }) => {
    await using proxy = await CuttingProxy.start(portOf(agent));
    const script = "echo ready; read line; echo $line; exit 4";
    await using running = new RunningThaw(["exec", "-i", proxy.url, "--", "sh", "-c", script]);
    await vi.waitFor(() => expect(running.stdout).toContain("ready"), { timeout: 20_000 });

    running.child.stderr.destroy();
    proxy.cut("reset");
    await vi.waitFor(() => expect(proxy.open).toBeGreaterThan(0), { timeout: 20_000 });
    running.child.stdin.end("goes on\n");

    expect(await running.exited).toBe(4);
    expect(running.stdout).toBe("ready\ngoes on\n");
  });

  test("leaves with -d a program that attach and logs find by its name", async ({ agent }) => {
    const script = "echo first; read line; echo $line >&2; exit 5";
    const started = await thaw(["exec", "-d", "-i", "--tag", "job", agent.url, "sh", "-c", script]);
    const pid = Number(started.stdout);
    await vi.waitFor(async () => {
      const { stdout } = await thaw(["logs", agent.url, "job"]);
      expect(stdout).toBe("first\n");
    });

    const ended = await thaw(["attach", agent.url, "job"], { input: "second\n" });

    expect(pid).toBeGreaterThan(0);
    expect(ended).toMatchObject({ code: 5, stdout: "first\n", stderr: "second\n" });
  });

  test("says in one grey line that it was cut, and goes on with every byte", async ({ agent }) => {
    await using proxy = await CuttingProxy.start(portOf(agent));
    await using running = new RunningThaw(["exec", "-i", proxy.url, "--", "cat"]);
    const sent: string[] = [];
    const say = (line: string) => running.child.stdin.write(`${sent[sent.push(line) - 1]}\n`);
    const heard = () =>
      vi.waitFor(() => expect(running.stdout).toBe(`${sent.join("\n")}\n`), { timeout: 20_000 });
    say("before");
    await heard();

    proxy.isOpen = false;
    proxy.cut("reset");
    say("meanwhile");
    await vi.waitFor(() => expect(running.stderr).toContain("was cut"), { timeout: 20_000 });
    proxy.isOpen = true;
    await heard();
    say("after");
    await heard();
    running.child.stdin.end();

    expect(await running.exited).toBe(0);
    expect(running.stderr).toBe(
      "thaw: the connection was cut; going on as soon as the guest answers\n",
    );
  });

  test("lets a person leave while it is cut", async ({ agent }) => {
    await using proxy = await CuttingProxy.start(portOf(agent));
    await using running = new RunningThaw(["exec", "--tag", "job", proxy.url, "sleep", "100"]);
    await vi.waitFor(async () => {
      expect((await agent.process().list({})).processes).toHaveLength(1);
    });
    proxy.isOpen = false;
    proxy.cut("reset");
    await vi.waitFor(() => expect(running.stderr).toContain("was cut"), { timeout: 20_000 });

    running.child.kill("SIGINT");

    expect(await running.exited).toBe(130);
    expect(running.stderr).toMatch(/it lives on: thaw attach 127.0.0.1:\d+ \d+\n$/);
    await thaw(["kill", "-s", "KILL", agent.url, "job"]);
  });

  test.for([
    [["exec"], "exec: no COMMAND is given"],
    [["exec", "127.0.0.1:1", "ls", "--", "ls"], 'exec: "ls" stands between TARGET and --'],
    [["exec", "-e", "=x", "127.0.0.1:1", "ls"], 'exec: --env: "=x" is not KEY=VALUE'],
    [["exec", "--bogus", "127.0.0.1:1", "ls"], "exec: unknown option '--bogus'"],
    [["exec", "nowhere", "ls"], '"nowhere" is no target'],
    [["exec", "--escape", "ab", "-it", "127.0.0.1:1", "ls"], "exec: --escape: "],
    [["kill", "-s", "NO", "127.0.0.1:1", "1"], 'kill: --signal: "NO" is no signal'],
    [["kill"], "kill: [TARGET] PID|TAG... is wanted"],
    [["snapshot"], "snapshot: one of prepare, restore, status is wanted"],
    [["dance"], "unknown command 'dance'"],
  ] as const)("refuses %j with 2", async ([args, complaint]) => {
    const result = await thaw(args);

    expect(result).toMatchObject({ code: 2, stdout: "" });
    expect(result.stderr).toContain(`thaw: ${complaint}`);
  });

  test("goes on across a restore of the guest", async ({ agent }) => {
    await using running = new RunningThaw(["exec", "-i", agent.url, "--", "cat"]);
    running.child.stdin.write("before\n");
    await vi.waitFor(() => expect(running.stdout).toBe("before\n"), { timeout: 20_000 });

    await thaw(["snapshot", "prepare", agent.url]);
    const restored = await thaw(["snapshot", "restore", agent.url]);
    running.child.stdin.end("after\n");

    expect(restored.stdout).toContain("generation 2");
    expect(await running.exited).toBe(0);
    expect(running.stdout).toBe("before\nafter\n");
    expect(running.stderr).toMatch(/^(thaw: the connection was cut; .*\n)?$/);
  });

  test("is killed with all that it has started, and what is left is told", async ({ agent }) => {
    const script = "trap '' TERM; sleep 1000 & echo ready; while :; do sleep 0.05; done";
    await using running = new RunningThaw([
      "exec",
      "--tag",
      "job",
      agent.url,
      "--",
      "sh",
      "-c",
      script,
    ]);
    await vi.waitFor(() => expect(running.stdout).toContain("ready"), { timeout: 20_000 });

    const left = await thaw(["kill", "--scope", "--json", agent.url, "job"]);
    const killed = await thaw(["kill", "--scope", "--grace", "100ms", agent.url, "job"]);

    expect(JSON.parse(left.stdout).survivors.length).toBeGreaterThan(0);
    expect(killed).toMatchObject({ code: 0, stderr: "" });
    expect(await running.exited).toBe(137);
  });

  test("fails with 1 where no guest is, or no such program", async ({ agent }) => {
    const nobody = await thaw(["exec", "127.0.0.1:1", "ls"]);
    const nothing = await thaw(["exec", agent.url, "--", "sh", "-c", "exec no-such-program"]);
    const unknown = await thaw(["attach", agent.url, "no-such-tag"]);

    expect(nobody).toMatchObject({ code: 1, stderr: expect.stringMatching(/^thaw: .*\n$/) });
    expect(nothing.code).toBe(127);
    expect(unknown).toMatchObject({ code: 1, stderr: expect.stringContaining("no-such-tag") });
  });
});
