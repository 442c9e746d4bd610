import {
  cpSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  readlinkSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { describe, expect, test, vi } from "vitest";
import { Binary, EnvdLink, LAUNCHER } from "../helpers/binary.ts";
import { FakePrograms } from "../helpers/fake-programs.ts";
import { exchange } from "../helpers/raw-socket.ts";
import { runProgram } from "../helpers/run-program.ts";

const health = async (binary: Binary) => (await fetch(`${binary.url}/health`)).status;

/** A copy of dist without the Node beside it. */
class Copy implements Disposable {
  readonly directory = mkdtempSync(join(tmpdir(), "thaw-lonely-"));
  readonly launcher = join(this.directory, "dist/thaw");

  constructor() {
    cpSync(dirname(LAUNCHER), dirname(this.launcher), { recursive: true });
  }

  [Symbol.dispose](): void {
    rmSync(this.directory, { recursive: true });
  }
}

describe("the launcher", () => {
  test("becomes the agent: the pid stays, and it is the pinned Node", async () => {
    await using binary = await Binary.serve();

    const { pid } = JSON.parse(binary.stderr.split("\n")[0] ?? "{}");
    expect(pid).toBe(binary.child.pid);
    expect(readlinkSync(`/proc/${pid}/exe`)).toMatch(/node_modules\/node-linux-\w+\/bin\/node$/);
  });

  test("does not care which Node the machine has", async () => {
    using programs = new FakePrograms();
    programs.add("node", "echo 'the machine'\\''s own'; exit 1");

    const { stdout } = await runProgram(LAUNCHER, ["--version"]);

    expect(stdout).toMatch(/^thaw \d/);
    expect(programs.calls()).toEqual([]);
  });

  test("is found through links, relative and of links, from any directory", async () => {
    using link = new EnvdLink();
    const inner = join(link.directory, "inner");
    mkdirSync(inner);
    symlinkSync("../envd", join(inner, "envd"));

    const answers = [
      await runProgram(join(inner, "envd"), ["-version"], { cwd: "/" }),
      await runProgram("./envd", ["-version"], { cwd: inner }),
      await runProgram("envd", ["-version"], { env: { PATH: `${inner}:${process.env["PATH"]}` } }),
      await runProgram("sh", ["envd", "-version"], { cwd: inner }),
    ];

    expect(answers.map(({ stdout }) => stdout)).toEqual(Array(4).fill("0.6.11\n"));
  });

  test("finds the Node that was installed next to the package", async () => {
    using copy = new Copy();
    const modules = join(copy.directory, "node_modules");
    mkdirSync(modules);
    cpSync(join(copy.directory, "dist"), join(modules, "thaw/dist"), { recursive: true });
    symlinkSync(dirname(dirname(process.execPath)), join(modules, `node-linux-${process.arch}`));

    const env = { PATH: "/usr/bin:/bin" };
    const { stdout } = await runProgram(join(modules, "thaw/dist/thaw"), ["--version"], { env });

    expect(stdout).toMatch(/^thaw \d/);
  });

  test("takes the Node in PATH when none was installed, and says what it misses", async () => {
    using copy = new Copy();
    using programs = new FakePrograms({ keepsOthers: false });
    const shell = join(copy.directory, "bin");
    mkdirSync(shell);
    const run = () => runProgram("/bin/sh", [copy.launcher, "--version"], { env: { PATH: shell } });

    const without = await run();
    symlinkSync(process.execPath, join(shell, "node"));
    const withOne = await run();

    expect(without).toMatchObject({ code: 1, stderr: expect.stringContaining("thaw: no Node") });
    expect(withOne).toMatchObject({ code: 0, stdout: expect.stringMatching(/^thaw \d/) });
    expect(programs.calls()).toEqual([]);
  });

  test.for([
    ["missing", (path: string) => rmSync(path)],
    ["cut short", (path: string) => writeFileSync(path, readFileSync(path).subarray(0, 5_000))],
    ["worthless", (path: string) => writeFileSync(path, "no code")],
    [
      "damaged",
      (path: string) => {
        const code = readFileSync(path);
        code.fill(0xff, 100_000, 100_100);
        writeFileSync(path, code);
      },
    ],
  ] as const)("starts with a %s cache", async ([, spoil]) => {
    using copy = new Copy();
    spoil(join(copy.directory, "dist/thaw.cache"));

    const env = { PATH: `${dirname(process.execPath)}:${process.env["PATH"]}` };
    const result = await runProgram(copy.launcher, ["--version"], { env });

    expect(result).toMatchObject({ code: 0, stderr: "", stdout: expect.stringMatching(/^thaw /) });
  });

  test("runs the bundle that is there, not the one that was compiled before", async () => {
    using copy = new Copy();
    const bundle = join(copy.directory, "dist/thaw.cjs");
    const text = readFileSync(bundle, "utf8");
    writeFileSync(bundle, text.replace('"0.6.11"', '"0.6.12"'));

    const env = { PATH: `${dirname(process.execPath)}:${process.env["PATH"]}` };
    using link = new EnvdLink(copy.launcher);
    const { stdout } = await runProgram(link.path, ["-version"], { env });

    expect(stdout).toBe("0.6.12\n");
  });

  test("keeps the Node options of an image away from the agent", async () => {
    const env = { NODE_OPTIONS: "--require /no/such/file.js" };

    const result = await runProgram(LAUNCHER, ["--version"], { env });

    expect(result.code).toBe(0);
  });

  test("leaves programs the soft limit of open files that it was started with", async () => {
    using file = new Copy();
    const answer = join(file.directory, "limit");
    const command = `ulimit -Sn 777; exec "${LAUNCHER}" "$@"`;
    const shell = join(file.directory, "limited");
    writeFileSync(shell, `#!/bin/bash\n${command}\n`, { mode: 0o755 });

    await using _ = await Binary.serve(["--cmd", `ulimit -Sn > ${answer}`], { launcher: shell });

    await vi.waitFor(() => expect(readFileSync(answer, "utf8")).toBe("777\n"));
  });
});

describe("the agent as a process", () => {
  test.for(["SIGTERM", "SIGINT"] as const)(
    "exits with 0 on %s, and its port is free",
    async (signal) => {
      await using binary = await Binary.serve();
      const { port } = new URL(binary.url);

      binary.child.kill(signal);

      expect(await binary.exited).toBe(0);
      const server = createServer();
      await new Promise<void>((resolve) => server.listen(Number(port), "127.0.0.1", resolve));
      server.close();
    },
  );

  test("exits with 0 on a signal that comes before it listens", async () => {
    using copy = new Copy();
    const hook = join(copy.directory, "hook.cjs");
    writeFileSync(
      hook,
      `require("node:net").Server.prototype.listen = function () {
         process.kill(process.pid, "SIGTERM");
         return this;
       };`,
    );
    const own = ["--port", "0", "--no-cgroups", "--run-dir", copy.directory];
    const env = { THAW_NODE_OPTIONS: `--require ${hook}` };

    await using binary = new Binary(["serve", ...own], { env });

    expect(await binary.exited).toBe(0);
  });

  test("prints a text to nobody without complaint", async () => {
    await using binary = new Binary(["--version"]);

    binary.child.stdout.destroy();

    expect(await binary.exited).toBe(0);
    expect(binary.stderr).toBe("");
  });

  test("takes its programs along, also those that do not listen", async () => {
    using scratch = new Copy();
    const path = join(scratch.directory, "pid");
    // It ends when its file is gone, also when the agent has left it behind.
    const deaf = `trap '' TERM; echo $$ > ${path}.new; mv ${path}.new ${path}; while [ -e ${path} ]; do sleep 0.05; done`;
    await using binary = await Binary.serve(["--cmd", deaf]);
    await vi.waitFor(() => expect(existsSync(path)).toBe(true));
    const pid = readFileSync(path, "utf8").trim();
    expect(isAlive(pid)).toBe(true);

    binary.child.kill("SIGTERM");

    expect(await binary.exited).toBe(0);
    expect(isAlive(pid)).toBe(false);
  });

  test("exits at once on a second signal", async () => {
    using scratch = new Copy();
    const path = join(scratch.directory, "deaf");
    // It ends when its file is gone: the agent does not wait for it.
    const deaf = `trap '' TERM; echo up > ${path}; while [ -e ${path} ]; do sleep 0.05; done`;
    await using binary = await Binary.serve(["--cmd", deaf]);
    await vi.waitFor(() => expect(readFileSync(path, "utf8")).toBe("up\n"));

    binary.child.kill("SIGTERM");
    await vi.waitFor(() => expect(binary.stderr).toContain("the agent closes"));
    binary.child.kill("SIGTERM");

    expect(await binary.exited).toBe(128 + 15);
  });

  test("outlives the terminal of whoever started it in the background", async () => {
    await using binary = await Binary.serve();

    binary.child.kill("SIGHUP");

    expect(await health(binary)).toBe(204);
  });

  test("lives on when nobody reads what it prints", async () => {
    await using binary = await Binary.serve();
    const { url } = binary;

    binary.child.stdout.destroy();
    binary.child.stderr.destroy();
    // What no protocol begins with is refused, and logged.
    for (let round = 0; round < 3; round++) await exchange(Number(new URL(url).port), "no words");

    expect((await fetch(`${url}/health`)).status).toBe(204);
  });

  test("survives bugs that nobody caught, and logs them", async () => {
    using copy = new Copy();
    const bug = join(copy.directory, "bug.cjs");
    writeFileSync(
      bug,
      `process.on("SIGUSR2", () => {
         Promise.reject(new Error("a promise broke"));
         throw new Error("a callback broke");
       });`,
    );
    await using binary = await Binary.serve([], { env: { THAW_NODE_OPTIONS: `--require ${bug}` } });

    binary.child.kill("SIGUSR2");
    await vi.waitFor(() => {
      expect(binary.stderr).toContain("a promise broke");
      expect(binary.stderr).toContain("a callback broke");
    });

    expect(await health(binary)).toBe(204);
    expect(binary.stderr).toContain("bug.cjs:");
  });

  test("makes files for all to read, whatever its own umask was", async () => {
    using copy = new Copy();
    const shell = join(copy.directory, "masked");
    writeFileSync(shell, `#!/bin/sh\numask 077; exec "${LAUNCHER}" "$@"\n`, { mode: 0o755 });
    const path = join(copy.directory, "uploaded");
    await using binary = await Binary.serve(["--no-token"], { launcher: shell });

    const { status } = await fetch(`${binary.url}/files?path=${path}`, {
      method: "POST",
      headers: { "Content-Type": "application/octet-stream" },
      body: "hello",
    });

    expect(status).toBe(200);
    expect(statSync(path).mode & 0o777).toBe(0o644);
  });

  test("answers soon after its start", async () => {
    const start = performance.now();
    await using binary = await Binary.serve();

    expect(await health(binary)).toBe(204);
    console.info(`first answer after ${Math.round(performance.now() - start)} ms`);
  });

  test("says which port is in use, and exits with 1", async () => {
    await using first = await Binary.serve();
    const { port } = new URL(first.url);

    const result = await runProgram(LAUNCHER, ["serve", "--port", port]);

    expect(result).toMatchObject({
      code: 1,
      stdout: "",
      stderr: `thaw: port ${port} on 127.0.0.1 is in use: choose another port, as in --port 0\n`,
    });
  });
});

describe("a browser on the same machine", () => {
  test.for([
    ["a name that a foreign site has pointed here", [], "Host: evil.example", 403],
    ["this machine", [], "Host: localhost", 204],
    [
      "this machine, for a foreign page",
      [],
      "Host: localhost\r\nOrigin: https://evil.example",
      403,
    ],
    ["a foreign name without a token to guess", ["--no-token"], "Host: evil.example", 403],
    [
      "the open agent, for a foreign page",
      ["--no-token"],
      "Host: localhost\r\nOrigin: https://evil.example",
      403,
    ],
    ["the open agent", ["--no-token"], "Host: localhost", 204],
  ] as const)("that asks %s with %j and %j gets %i", async ([, flags, headers, expected]) => {
    await using binary = await Binary.serve(flags);

    expect(await statusFor(binary, headers)).toBe(expected);
  });

  test("may come from anywhere with the token", async () => {
    await using binary = await Binary.serve();
    await vi.waitFor(() => expect(binary.token).not.toBe(""));
    const foreign = "Host: evil.example\r\nOrigin: https://evil.example";

    expect(await statusFor(binary, foreign)).toBe(403);
    expect(await statusFor(binary, `${foreign}\r\nX-Access-Token: ${binary.token}`)).toBe(204);
  });
});

/** The status of `/health` for a request with just these headers. */
async function statusFor(binary: Binary, headers: string): Promise<number> {
  const answer = await exchange(
    Number(new URL(binary.url).port),
    `GET /health HTTP/1.1\r\n${headers}\r\nConnection: close\r\n\r\n`,
  );
  return Number(answer.split(" ")[1]);
}

/** Whether the process runs; one that only waits to be reaped does not. */
function isAlive(pid: string): boolean {
  try {
    return !/^State:\s+Z/m.test(readFileSync(`/proc/${pid}/status`, "utf8"));
  } catch {
    return false;
  }
}
