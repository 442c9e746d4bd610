import { existsSync } from "node:fs";
import {
  AuthenticationError,
  CommandExitError,
  InvalidArgumentError,
  NotFoundError,
  Sandbox,
  SandboxError,
  TimeoutError,
} from "e2b";
import { describe, expect, vi } from "vitest";
import { test } from "../helpers/sandbox.ts";

/** Larger than any pid that Linux gives. */
const NO_PID = 0x7ffffff0;

describe("a command of the e2b package", () => {
  test("returns its code and both outputs", async ({ sandbox }) => {
    const result = await sandbox.commands.run("echo out; echo err >&2");

    expect(result).toMatchObject({ exitCode: 0, stdout: "out\n", stderr: "err\n" });
    expect(result.error).toBeUndefined();
  });

  test("works with a sandbox made in debug mode", async ({ agent }) => {
    const sandbox = await Sandbox.create({ debug: true, sandboxUrl: agent.url });

    const result = await sandbox.commands.run("echo hello");

    expect(result.stdout).toBe("hello\n");
    await expect(sandbox.isRunning()).resolves.toBe(true);
  });

  test("that fails throws its code, its outputs and the words for it", async ({ sandbox }) => {
    const failure = await sandbox.commands
      .run("echo out; echo err >&2; exit 3")
      .catch((reason: unknown) => reason);

    expect(failure).toBeInstanceOf(CommandExitError);
    expect(failure).toMatchObject({
      exitCode: 3,
      stdout: "out\n",
      stderr: "err\n",
      error: "exit status 3",
    });
  });

  test("that does not exist fails with 127", async ({ sandbox }) => {
    const failure = await sandbox.commands
      .run("no-such-program")
      .catch((reason: unknown) => reason);

    expect(failure).toMatchObject({ exitCode: 127 });
    expect((failure as CommandExitError).stderr).toContain("command not found");
  });

  test("gets its variables and its directory", async ({ agent, sandbox }) => {
    const result = await sandbox.commands.run('printf "%s|%s" "$GREETING" "$PWD"', {
      envs: { GREETING: "grüß 'dich'\n" },
      cwd: agent.directory,
    });

    expect(result.stdout).toBe(`grüß 'dich'\n|${agent.directory}`);
  });

  test("runs as the user it names, at home there", async ({ sandbox, user }) => {
    const result = await sandbox.commands.run("id -un; id -Gn; pwd; echo $HOME $USER $LOGNAME", {
      user: user.name,
    });

    expect(result.stdout.split("\n")).toEqual([
      user.name,
      `${user.name} users`,
      user.home,
      `${user.home} ${user.name} ${user.name}`,
      "",
    ]);
  });

  test("of an unknown user is an authentication error", async ({ sandbox }) => {
    const run = sandbox.commands.run("true", { user: "nobody-like-this" });

    await expect(run).rejects.toThrow(AuthenticationError);
    await expect(run).rejects.toThrow("invalid username: 'nobody-like-this'");
  });

  test("in a directory that is not there is an invalid argument", async ({ sandbox }) => {
    const run = sandbox.commands.run("true", { cwd: "/no/such/place" });

    await expect(run).rejects.toThrow(InvalidArgumentError);
    await expect(run).rejects.toThrow("cwd '/no/such/place' does not exist");
  });

  test("delivers five megabytes of output whole", async ({ sandbox }) => {
    const result = await sandbox.commands.run("head -c 5000000 /dev/zero | tr '\\0' x");

    expect(result.stdout.length).toBe(5_000_000);
    expect(/^x*$/.test(result.stdout)).toBe(true);
  });

  test("is one of thirty-two at once, each with its own output", async ({ sandbox }) => {
    const numbers = Array.from({ length: 32 }, (_, index) => index);

    const results = await Promise.all(
      numbers.map((number) => sandbox.commands.run(`echo ${number}`)),
    );

    expect(results.map(({ stdout }) => stdout)).toEqual(numbers.map((number) => `${number}\n`));
  });

  test("streams while it runs, and characters stay whole over chunks", async ({ sandbox }) => {
    const chunks: string[] = [];
    const errors: string[] = [];

    const handle = await sandbox.commands.run(
      `printf 'price: \\xe2\\x82'; read -r _; printf '\\xac'; echo broken >&2`,
      {
        background: true,
        stdin: true,
        onStdout: (chunk) => void chunks.push(chunk),
        onStderr: (chunk) => void errors.push(chunk),
      },
    );
    await vi.waitFor(() => expect(chunks.join("")).toBe("price: "), 15_000);
    await handle.sendStdin("\n");
    const result = await handle.wait();

    expect(chunks.join("")).toBe("price: €");
    expect(errors.join("")).toBe("broken\n");
    expect(result).toMatchObject({ stdout: "price: €", stderr: "broken\n" });
  });
});

describe("a command in the background", () => {
  test("has a pid at once and a result later", async ({ sandbox }) => {
    const handle = await sandbox.commands.run("read -r line; echo got $line", {
      background: true,
      stdin: true,
    });

    expect(handle.exitCode).toBeUndefined();
    expect(existsSync(`/proc/${handle.pid}`)).toBe(true);
    await handle.sendStdin("one\n");
    await expect(handle.wait()).resolves.toMatchObject({ exitCode: 0, stdout: "got one\n" });
  });

  test("reads its input in pieces until it is closed", async ({ sandbox }) => {
    const handle = await sandbox.commands.run("cat", { background: true, stdin: true });

    await sandbox.commands.sendStdin(handle.pid, "one ");
    await sandbox.commands.sendStdin(handle.pid, new Uint8Array([0xe2, 0x82]));
    await sandbox.commands.sendStdin(handle.pid, new Uint8Array([0xac]));
    await handle.closeStdin();
    await handle.closeStdin();

    await expect(handle.wait()).resolves.toMatchObject({ stdout: "one €" });
  });

  test("has an empty input unless it asks for one", async ({ sandbox }) => {
    const handle = await sandbox.commands.run("cat; echo over; exec sleep 60", {
      background: true,
    });

    await vi.waitFor(() => expect(handle.stdout).toBe("over\n"), 15_000);
    await expect(handle.sendStdin("text")).rejects.toThrow("stdin not enabled or closed");
    await handle.kill();
  });

  test("is listed as it was asked for, until it ends", async ({ agent, sandbox }) => {
    const handle = await sandbox.commands.run("exec sleep 60", {
      background: true,
      envs: { ONE: "1" },
      cwd: agent.directory,
    });

    const listed = await sandbox.commands.list();
    await handle.kill();
    await handle.wait().catch(() => {});
    const after = await sandbox.commands.list();

    expect(listed).toEqual([
      {
        pid: handle.pid,
        cmd: "/bin/bash",
        args: ["-l", "-c", "exec sleep 60"],
        envs: { ONE: "1" },
        cwd: agent.directory,
      },
    ]);
    expect(after).toEqual([]);
  });

  test("is killed once; what is not there cannot be killed", async ({ sandbox }) => {
    const handle = await sandbox.commands.run("exec sleep 60", { background: true });

    await expect(sandbox.commands.kill(handle.pid)).resolves.toBe(true);
    await expect(handle.wait()).rejects.toMatchObject({ exitCode: -1, error: "signal: killed" });
    expect(existsSync(`/proc/${handle.pid}`)).toBe(false);
    await expect(handle.kill()).resolves.toBe(false);
    await expect(sandbox.commands.kill(NO_PID)).resolves.toBe(false);
  });

  test("is followed by a second client from now on", async ({ sandbox }) => {
    const handle = await sandbox.commands.run("echo before; read -r _; echo after", {
      background: true,
      stdin: true,
    });
    await vi.waitFor(() => expect(handle.stdout).toBe("before\n"), 15_000);

    const second = await sandbox.commands.connect(handle.pid);
    await second.sendStdin("\n");

    expect(second.pid).toBe(handle.pid);
    await expect(second.wait()).resolves.toMatchObject({ exitCode: 0, stdout: "after\n" });
    await expect(handle.wait()).resolves.toMatchObject({ stdout: "before\nafter\n" });
  });

  test("tells its end to a client that comes after it", async ({ sandbox }) => {
    const handle = await sandbox.commands.run("exit 4", { background: true });
    await handle.wait().catch(() => {});

    const late = await sandbox.commands.connect(handle.pid);

    await expect(late.wait()).rejects.toMatchObject({ exitCode: 4, stdout: "" });
  });

  test("lives on when its client turns away", async ({ sandbox }) => {
    const handle = await sandbox.commands.run("read -r _; echo alive", {
      background: true,
      stdin: true,
    });

    await handle.disconnect();
    const second = await sandbox.commands.connect(handle.pid);
    await second.sendStdin("\n");

    await expect(second.wait()).resolves.toMatchObject({ stdout: "alive\n" });
  });

  test("that nobody knows cannot be followed", async ({ sandbox }) => {
    const connect = sandbox.commands.connect(NO_PID);

    await expect(connect).rejects.toThrow(NotFoundError);
    await expect(connect).rejects.toThrow(`process with pid ${NO_PID} not found`);
  });
});

describe("a command with a time limit", () => {
  test("ends with it, and its client is told so", async ({ sandbox }) => {
    const handle = await sandbox.commands.run("exec sleep 60", {
      background: true,
      timeoutMs: 300,
    });

    await expect(handle.wait()).rejects.toThrow(TimeoutError);
    await vi.waitFor(() => expect(existsSync(`/proc/${handle.pid}`)).toBe(false), 15_000);
    await expect(sandbox.commands.list()).resolves.toEqual([]);
  });

  test("tells a second client its end instead", async ({ sandbox }) => {
    const handle = await sandbox.commands.run("exec sleep 60", {
      background: true,
      timeoutMs: 500,
    });
    const second = await sandbox.commands.connect(handle.pid);

    const [first, other] = await Promise.allSettled([handle.wait(), second.wait()]);

    expect(first).toMatchObject({ reason: expect.any(TimeoutError) as unknown });
    expect(other).toMatchObject({ reason: { exitCode: -1, error: "signal: killed" } });
  });

  test("that only looks on outlives the limit", async ({ sandbox }) => {
    const handle = await sandbox.commands.run("exec sleep 60", { background: true });

    const second = await sandbox.commands.connect(handle.pid, { timeoutMs: 200 });

    await expect(second.wait()).rejects.toThrow(TimeoutError);
    expect(existsSync(`/proc/${handle.pid}`)).toBe(true);
    await handle.kill();
  });
});

test("a command that its client gives up is an error of the client", async ({ sandbox }) => {
  const giveUp = new AbortController();
  const handle = await sandbox.commands.run("exec sleep 60", {
    background: true,
    signal: giveUp.signal,
  });

  giveUp.abort();

  await expect(handle.wait()).rejects.toThrow(SandboxError);
  expect(existsSync(`/proc/${handle.pid}`)).toBe(true);
  await expect(sandbox.commands.kill(handle.pid)).resolves.toBe(true);
});
