import { execFileSync } from "node:child_process";
import { mkdtempSync, readdirSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { MessageInitShape } from "@bufbuild/protobuf";
import { Code, ConnectError } from "@connectrpc/connect";
import { describe, expect, vi } from "vitest";
import {
  Signal,
  type StartRequestSchema,
  type StreamInputRequestSchema,
} from "../../gen/process/process_pb.js";
import { describeTransports, test } from "../helpers/agent.ts";
import { basic, follow, running, shell, start, text } from "../helpers/process.ts";

const error = async (promise: Promise<unknown>) => {
  const reason = await promise.then(
    () => undefined,
    (reason: unknown) => reason,
  );
  expect(reason).toBeInstanceOf(ConnectError);
  const { code, rawMessage } = reason as ConnectError;
  return { code, message: rawMessage };
};

describeTransports("a program", (transport) => {
  test("tells its start, its output and its end, in this order", async ({ agent }) => {
    const events = await start(agent.process(transport), shell("echo out; echo err >&2"));

    expect(events[0]?.case).toBe("start");
    expect(text(events, "stdout")).toBe("out\n");
    expect(text(events, "stderr")).toBe("err\n");
    expect(events.at(-1)).toMatchObject({
      case: "end",
      value: { exitCode: 0, exited: true, status: "exit status 0" },
    });
    expect(events.at(-1)?.value).not.toHaveProperty("error");
  });

  test.for([
    ["exit 7", { exitCode: 7, exited: true, status: "exit status 7", error: "exit status 7" }],
    [
      "kill -9 $$",
      { exitCode: -1, exited: false, status: "signal: killed", error: "signal: killed" },
    ],
    [
      "kill -HUP $$",
      { exitCode: -1, exited: false, status: "signal: hangup", error: "signal: hangup" },
    ],
  ] as const)("%s ends as the contract says", async ([script, end], { agent }) => {
    const events = await start(agent.process(transport), shell(script));

    expect(events.at(-1)).toMatchObject({ case: "end", value: end });
  });

  test("that does not exist starts, complains and ends with 127", async ({ agent }) => {
    const events = await start(agent.process(transport), { process: { cmd: "no-such-program" } });

    expect(text(events, "stderr")).toContain("not found");
    expect(events.at(-1)).toMatchObject({ case: "end", value: { exitCode: 127 } });
  });

  test("gets its input, and end of file when stdin is closed", async ({ agent }) => {
    const client = agent.process(transport);
    const cat = await running(client, { process: { cmd: "cat" } });

    await client.sendInput({
      process: cat.selector,
      input: { input: { case: "stdin", value: Buffer.from("one ") } },
    });
    await client.sendInput({
      process: cat.selector,
      input: { input: { case: "stdin", value: Buffer.from("two") } },
    });
    await client.closeStdin({ process: cat.selector });

    const events = await cat.rest();
    expect(text(events, "stdout")).toBe("one two");
    expect(events.at(-1)).toMatchObject({ case: "end", value: { exitCode: 0 } });
  });

  test("on a terminal has that terminal, its size and its input", async ({ agent }) => {
    const client = agent.process(transport);
    const pty = { size: { cols: 91, rows: 31 } };
    const sh = await running(client, {
      process: { cmd: "sh", args: ["-c", "stty size; read x; stty size; tty"] },
      pty,
    });
    await sh.until((events) => text(events, "pty").includes("31 91"));

    await client.update({ process: sh.selector, pty: { size: { cols: 120, rows: 40 } } });
    await client.sendInput({
      process: sh.selector,
      input: { input: { case: "pty", value: Buffer.from("go\n") } },
    });

    const events = await sh.rest();
    expect(text(events, "pty")).toMatch(/40 120\r\n\/dev\/pts\/\d+\r\n$/);
    expect(events.at(-1)).toMatchObject({ case: "end", value: { exitCode: 0 } });
  });

  test("can be followed by a second viewer, by pid and by tag", async ({ agent }) => {
    const client = agent.process(transport);
    const cat = await running(client, { process: { cmd: "cat" }, tag: "shared" });
    const second = await follow(
      client.connect({ process: { selector: { case: "tag", value: "shared" } } }),
    );
    expect(second.pid).toBe(cat.pid);

    await client.sendInput({
      process: cat.selector,
      input: { input: { case: "stdin", value: Buffer.from("both") } },
    });
    await client.closeStdin({ process: cat.selector });

    expect(text(await cat.rest(), "stdout")).toBe("both");
    expect(text(await second.rest(), "stdout")).toBe("both");
  });

  test("that has ended tells its end to who asks within the retention time", async ({ agent }) => {
    const client = agent.process(transport);
    const done = await running(client, { ...shell("exit 3"), tag: "gone" });
    await done.rest();

    const byPid = await follow(client.connect({ process: done.selector }));
    const byTag = await follow(
      client.connect({ process: { selector: { case: "tag", value: "gone" } } }),
    );

    for (const events of [await byPid.rest(), await byTag.rest()]) {
      expect(events.map((event) => event.case)).toEqual(["start", "end"]);
      expect(events.at(-1)).toMatchObject({ value: { exitCode: 3 } });
    }
    expect(await error(client.sendInput({ process: done.selector }))).toEqual({
      code: Code.NotFound,
      message: `process with pid ${done.pid} not found`,
    });
  });

  test("that outlives its deadline is killed, and its stream says so without an end", async ({
    agent,
  }) => {
    const client = agent.process(transport);
    const sleep = await running(
      client,
      { process: { cmd: "sleep", args: ["100"] } },
      { timeoutMs: 300 },
    );
    const second = await follow(client.connect({ process: sleep.selector }));

    expect((await error(sleep.rest())).code).toBe(Code.DeadlineExceeded);
    expect(sleep.events.some((event) => event.case === "end")).toBe(false);
    expect((await second.rest()).at(-1)).toMatchObject({ value: { status: "signal: killed" } });
  });

  test("that leaves its pipes to a child is not waited for beyond its deadline", async ({
    agent,
  }) => {
    const client = agent.process(transport);
    const sh = await running(client, shell("sleep 100 & echo $!"), { timeoutMs: 500 });
    const second = await follow(client.connect({ process: sh.selector }));

    expect((await error(sh.rest())).code).toBe(Code.DeadlineExceeded);
    expect(sh.events.some((event) => event.case === "end")).toBe(false);
    expect((await second.rest()).at(-1)).toMatchObject({ value: { status: "exit status 0" } });
    process.kill(Number(text(sh.events, "stdout")), "SIGKILL");
  });

  test("lives on when its viewer leaves, and can still be ended", async ({ agent }) => {
    const client = agent.process(transport);
    const leave = new AbortController();
    const sleep = await running(
      client,
      { process: { cmd: "sleep", args: ["100"] } },
      { signal: leave.signal },
    );

    leave.abort();
    expect((await error(sleep.rest())).code).toBe(Code.Canceled);

    const { processes } = await client.list({});
    expect(processes.map(({ pid }) => pid)).toContain(sleep.pid);
    await client.sendSignal({ process: sleep.selector, signal: Signal.SIGKILL });
    await vi.waitFor(async () => expect((await client.list({})).processes).toEqual([]));
  });
});

describe("a process", () => {
  test("is listed as it was asked for, and gone from the list when its end is told", async ({
    agent,
  }) => {
    const client = agent.process();
    const config = { cmd: "cat", args: ["-u"], envs: { A: "1" }, cwd: "/tmp/../tmp" };
    const cat = await running(client, { process: config, tag: "listed" });

    const { processes } = await client.list({});
    expect(processes).toMatchObject([{ pid: cat.pid, tag: "listed", config }]);

    await client.closeStdin({ process: cat.selector });
    await cat.rest();
    expect((await client.list({})).processes).toEqual([]);
  });

  test("is found by its own tag when several are tagged", async ({ agent }) => {
    const client = agent.process();
    const one = await running(client, { process: { cmd: "cat" }, tag: "one" });
    const two = await running(client, { process: { cmd: "cat" }, tag: "two" });

    for (const [tag, pid] of [
      ["one", one.pid],
      ["two", two.pid],
    ] as const) {
      const viewer = await follow(
        client.connect({ process: { selector: { case: "tag", value: tag } } }),
      );
      expect(viewer.pid).toBe(pid);
      await client.closeStdin({ process: { selector: { case: "tag", value: tag } } });
      await viewer.rest();
    }
    await Promise.all([one.rest(), two.rest()]);
  });

  test("has the contract's environment and nothing of the agent's", async ({ agent }) => {
    const events = await start(agent.process(), {
      process: { cmd: "env", envs: { EXTRA: "x=y\nz" } },
    });

    const lines = text(events, "stdout").trimEnd().split("\n");
    const names = lines.map((line) => line.split("=")[0]);
    expect(names.toSorted()).toEqual(
      ["E2B_SANDBOX", "EXTRA", "HOME", "LOGNAME", "PATH", "USER", "z"].toSorted(),
    );
    expect(lines).toContain("HOME=/root");
  });

  test("is its user's: ids, all groups, home, directory, umask, score, signals", async ({
    agent,
    user,
  }) => {
    const script =
      "id -u; id -G; pwd; umask; cat /proc/self/oom_score_adj; grep SigIgn /proc/self/status";
    const events = await start(agent.process(), shell(script), { headers: basic(user.name) });

    const groups = execFileSync("id", ["-G", user.name], { encoding: "utf8" });
    expect(text(events, "stdout")).toBe(
      `${user.uid}\n${groups}${user.home}\n0022\n100\nSigIgn:\t0000000000000000\n`,
    );
  });

  test("owns its terminal, so that programs may open it by name", async ({ agent, user }) => {
    const events = await start(
      agent.process(),
      { ...shell("echo hello > $(tty)"), pty: { size: { cols: 80, rows: 24 } } },
      { headers: basic(user.name) },
    );

    expect(text(events, "pty")).toBe("hello\r\n");
    expect(events.at(-1)).toMatchObject({ value: { exitCode: 0 } });
  });

  test("is not started in a directory closed to its user", async ({ agent, user }) => {
    const closed = mkdtempSync(join(tmpdir(), "closed-"));

    const failure = await error(
      start(
        agent.process(),
        { process: { cmd: "pwd", cwd: closed } },
        { headers: basic(user.name) },
      ),
    );

    expect(failure).toEqual({
      code: Code.InvalidArgument,
      message: `error starting process 'pwd': chdir ${closed}: permission denied`,
    });
    rmSync(closed, { recursive: true });
  });

  test.for([
    [
      "in a missing directory",
      { process: { cmd: "pwd", cwd: "/no/such" } },
      "cwd '/no/such' does not exist",
    ],
    [
      "in a file",
      { process: { cmd: "pwd", cwd: "/etc/passwd" } },
      "error starting process 'pwd': chdir /etc/passwd: not a directory",
    ],
    ["in somebody's home", { process: { cmd: "pwd", cwd: "~nobody" } }, "failed to expand path"],
    ["with a NUL in an argument", { process: { cmd: "echo", args: ["a\0b"] } }, "NUL byte"],
    [
      "with too long an environment",
      { process: { cmd: "echo", envs: { A: "x".repeat(200_000) } } },
      "argument list too long",
    ],
    ["with no command", {}, "no command"],
  ] satisfies [string, MessageInitShape<typeof StartRequestSchema>, string][])(
    "cannot be started %s",
    async ([, request, words], { agent }) => {
      for (const transport of ["h1-proto", "h1-json"] as const) {
        const failure = await error(start(agent.process(transport), request));
        expect(failure.code).toBe(Code.InvalidArgument);
        expect(failure.message).toContain(words);
      }
    },
  );

  test("writes its last words after SIGTERM, and is gone when its end is told", async ({
    agent,
  }) => {
    const client = agent.process();
    const script = "trap 'echo last words; exit 5' TERM; echo ready; while :; do sleep 0.01; done";
    const sh = await running(client, shell(script));
    await sh.until((events) => text(events, "stdout").includes("ready"));

    await client.sendSignal({ process: sh.selector, signal: Signal.SIGTERM });

    const events = await sh.rest();
    expect(text(events, "stdout")).toBe("ready\nlast words\n");
    expect(events.at(-1)).toMatchObject({ value: { exitCode: 5 } });
    expect(() => process.kill(sh.pid, 0)).toThrow("ESRCH");
  });

  test("that was killed ends although a child of it keeps its pipes", async ({ agent }) => {
    const client = agent.process();
    const sh = await running(client, shell("sleep 100 & echo $!; wait"));
    await sh.until((events) => text(events, "stdout").endsWith("\n"));

    await client.sendSignal({ process: sh.selector, signal: Signal.SIGKILL });

    const events = await sh.rest();
    expect(events.at(-1)).toMatchObject({ value: { status: "signal: killed" } });
    process.kill(Number(text(events, "stdout")), "SIGKILL");
  });

  test("has not ended while a child of it keeps its pipes", async ({ agent }) => {
    const client = agent.process();
    const sh = await running(client, shell("sleep 100 & echo $!"));
    await sh.until((events) => text(events, "stdout").endsWith("\n"));

    expect((await client.list({})).processes.map(({ pid }) => pid)).toEqual([sh.pid]);
    process.kill(Number(text(sh.events, "stdout")), "SIGKILL");

    expect((await sh.rest()).at(-1)).toMatchObject({ value: { exitCode: 0 } });
  });

  test("delivers every byte of a fast program, on pipes and on a terminal", async ({ agent }) => {
    const bytes = 8 * 1024 * 1024;
    const script = `head -c ${bytes} /dev/zero | tr '\\0' x`;
    for (const transport of ["h1-proto", "h1-json", "h2-proto", "h2-json"] as const) {
      const piped = await start(agent.process(transport), shell(script));
      expect(text(piped, "stdout").length).toBe(bytes);
      const drawn = await start(agent.process(transport), { ...shell(script), pty: {} });
      expect(text(drawn, "pty").length).toBe(bytes);
    }
  });

  test("that does not read holds up only those who write to it", async ({ agent }) => {
    const client = agent.process();
    const deaf = await running(client, { process: { cmd: "sleep", args: ["100"] } });
    const cat = await running(client, { process: { cmd: "cat" } });
    const leave = new AbortController();
    const stuck = client.sendInput(
      { process: deaf.selector, input: { input: { case: "stdin", value: Buffer.alloc(1 << 20) } } },
      { signal: leave.signal },
    );

    await client.sendInput({
      process: cat.selector,
      input: { input: { case: "stdin", value: Buffer.from("quick") } },
    });
    await cat.until((events) => text(events, "stdout") === "quick");
    leave.abort();

    expect((await error(stuck)).code).toBe(Code.Canceled);
    for (const { selector } of [deaf, cat]) {
      await client.sendSignal({ process: selector, signal: Signal.SIGKILL });
    }
    await Promise.all([deaf.rest(), cat.rest()]);
  });

  test("whose stdin is closed may have it closed again, and takes no more input", async ({
    agent,
  }) => {
    const client = agent.process();
    const sleep = await running(client, { process: { cmd: "sleep", args: ["100"] } });

    await client.closeStdin({ process: sleep.selector });
    await client.closeStdin({ process: sleep.selector });
    const late = await error(
      client.sendInput({
        process: sleep.selector,
        input: { input: { case: "stdin", value: Buffer.from("x") } },
      }),
    );

    expect(late).toEqual({
      code: Code.Internal,
      message: "error writing to stdin: stdin not enabled or closed",
    });
    await client.sendSignal({ process: sleep.selector, signal: Signal.SIGKILL });
    await sleep.rest();
  });

  test("that closed its stdin itself is an error for who writes to it", async ({ agent }) => {
    const client = agent.process();
    const sh = await running(client, shell("exec <&-; echo closed; sleep 100"));
    await sh.until((events) => text(events, "stdout") !== "");

    const late = await error(
      client.sendInput({
        process: sh.selector,
        input: { input: { case: "stdin", value: Buffer.from("x") } },
      }),
    );

    expect(late.code).toBe(Code.Internal);
    expect(late.message).toContain(`error writing to stdin of process '${sh.pid}': `);
    await client.sendSignal({ process: sh.selector, signal: Signal.SIGKILL });
    await sh.rest();
  });

  test("takes a stream of input in order, and refuses data before start", async ({ agent }) => {
    const client = agent.process("h2-proto");
    const cat = await running(client, { process: { cmd: "cat" } });
    const data = (value: string) =>
      ({
        event: {
          case: "data",
          value: { input: { input: { case: "stdin", value: Buffer.from(value) } } },
        },
      }) as const;
    const select = { event: { case: "start", value: { process: cat.selector } } } as const;
    async function* of(...items: MessageInitShape<typeof StreamInputRequestSchema>[]) {
      yield* items;
    }

    await client.streamInput(
      of(
        select,
        data("a"),
        { event: { case: "keepalive", value: {} } } as const,
        data("b"),
        select,
        data("c"),
      ),
    );
    const early = await error(client.streamInput(of(data("x"))));
    await client.closeStdin({ process: cat.selector });

    expect(early.code).toBe(Code.FailedPrecondition);
    expect(text(await cat.rest(), "stdout")).toBe("abc");
  });
});

describe("a wrong request", () => {
  const nobody = { selector: { case: "pid", value: 4_000_000 } } as const;

  test("naming a process that is not there is not_found", async ({ agent }) => {
    const client = agent.process();
    const byTag = { selector: { case: "tag", value: "nobody" } } as const;
    const calls = [
      client.sendSignal({ process: nobody, signal: Signal.SIGKILL }),
      client.update({ process: nobody }),
      client.closeStdin({ process: nobody }),
      client.sendInput({ process: nobody }),
      follow(client.connect({ process: nobody })),
    ];

    for (const call of calls) {
      expect(await error(call)).toEqual({
        code: Code.NotFound,
        message: "process with pid 4000000 not found",
      });
    }
    expect(await error(client.update({ process: byTag }))).toEqual({
      code: Code.NotFound,
      message: "process with tag nobody not found",
    });
    expect((await error(client.update({}))).code).toBe(Code.Unimplemented);
  });

  test("to a plain process for a terminal, and the other way round, says which is right", async ({
    agent,
  }) => {
    const client = agent.process();
    const plain = await running(client, { process: { cmd: "cat" }, stdin: false }).then(
      async (cat) => (
        await cat.rest(),
        running(client, { process: { cmd: "sleep", args: ["100"] }, stdin: false })
      ),
    );
    const pty = await running(client, { process: { cmd: "cat" }, pty: {} });
    const stdin = { input: { case: "stdin", value: Buffer.from("x") } } as const;
    const keys = { input: { case: "pty", value: Buffer.from("x") } } as const;

    expect(await error(client.sendInput({ process: plain.selector, input: stdin }))).toEqual({
      code: Code.Internal,
      message: "error writing to stdin: stdin not enabled or closed",
    });
    expect(
      (await error(client.sendInput({ process: plain.selector, input: keys }))).message,
    ).toContain("tty not assigned");
    expect(
      (await error(client.sendInput({ process: pty.selector, input: stdin }))).message,
    ).toContain("tty assigned to process");
    expect((await error(client.sendInput({ process: pty.selector }))).code).toBe(
      Code.Unimplemented,
    );
    expect((await error(client.closeStdin({ process: pty.selector }))).code).toBe(Code.Unknown);
    expect((await error(client.update({ process: plain.selector, pty: {} }))).message).toBe(
      "error resizing tty: tty not assigned to process",
    );
    expect(
      (await error(client.sendSignal({ process: pty.selector, signal: 2 as unknown as Signal })))
        .code,
    ).toBe(Code.Unimplemented);
    for (const { selector } of [plain, pty])
      await client.sendSignal({ process: selector, signal: Signal.SIGKILL });
    await Promise.all([plain.rest(), pty.rest()]);
  });

  test.for(["0", "-1", "soon", ""])(
    "with the keep-alive interval %j is an error",
    async (value, { agent }) => {
      const headers = { "Keepalive-Ping-Interval": value };

      expect((await error(start(agent.process(), shell("true"), { headers }))).code).toBe(
        Code.InvalidArgument,
      );
    },
  );

  test("by an unknown user starts nothing", async ({ agent }) => {
    expect(
      await error(start(agent.process(), shell("true"), { headers: basic("no-such-user") })),
    ).toEqual({
      code: Code.Unauthenticated,
      message: "invalid username: 'no-such-user'",
    });
  });
});

test("a quiet stream says that it lives", async ({ agent }) => {
  const headers = { "Keepalive-Ping-Interval": "1" };
  const sleep = await running(
    agent.process(),
    { process: { cmd: "sleep", args: ["100"] } },
    { headers },
  );

  await sleep.until((events) => events.filter((event) => event.case === "keepalive").length >= 2);

  await agent.process().sendSignal({ process: sleep.selector, signal: Signal.SIGKILL });
  await sleep.rest();
});

test("of a terminal's size the low 16 bits count", async ({ agent }) => {
  const client = agent.process();
  const run = await running(client, {
    ...shell("stty -echo; stty size; read x; stty size; read x; stty size"),
    pty: { size: { cols: 65_536 + 80, rows: 4_294_967_295 } },
  });
  const sizes = () => text(run.events, "pty").match(/^\d+ \d+\r$/gm) ?? [];
  const { selector: process } = run;
  const enter = { input: { case: "pty", value: Buffer.from("\n") } } as const;

  for (const [shown, size] of [{ cols: 65_535, rows: 0 }, {}].entries()) {
    await run.until(() => sizes().length > shown);
    await client.update({ process, pty: { size } });
    await client.sendInput({ process, input: enter });
  }
  await run.rest();

  expect(sizes()).toEqual(["65535 80\r", "0 65535\r", "0 0\r"]);
});

test("a terminal that has ended cannot resize another one that took its descriptor", async ({
  agent,
}) => {
  const client = agent.process();
  const ended = await running(client, {
    process: { cmd: "true" },
    pty: { size: { cols: 1, rows: 1 } },
  });
  await ended.rest();
  const next = await running(client, {
    ...shell("read x; stty size"),
    pty: { size: { cols: 80, rows: 24 } },
  });

  await error(client.update({ process: ended.selector, pty: { size: { cols: 7, rows: 7 } } }));
  await client.sendInput({
    process: next.selector,
    input: { input: { case: "pty", value: Buffer.from("\n") } },
  });

  expect(text(await next.rest(), "pty")).toContain("24 80");
});

test("a program that closes its terminal before it exits is not killed by the hang-up", async ({
  agent,
}) => {
  const script =
    "exec <&- >&- 2>&-; for i in 1 2 3 4 5; do read -t 0.02 x < /dev/zero || :; done; exit 7";
  const events = await start(agent.process(), {
    process: { cmd: "bash", args: ["-c", script] },
    pty: {},
  });

  expect(events.at(-1)).toMatchObject({ value: { status: "exit status 7" } });
});

test("many starts leave no descriptor, process or terminal behind", async ({ agent }) => {
  const count = Number(process.env["THAW_TEST_STARTS"] ?? 1_000);
  const descriptors = () => readdirSync("/proc/self/fd").length;
  const client = agent.process("h2-proto");
  await start(client, shell("true"));
  const before = descriptors();

  for (let left = count; left > 0; left -= 20) {
    await Promise.all(
      Array.from({ length: 20 }, (_, index) =>
        start(client, { process: { cmd: "true" }, ...(index % 2 === 0 ? { pty: {} } : {}) }),
      ),
    );
  }

  await vi.waitFor(() => expect(descriptors()).toBeLessThanOrEqual(before + 4));
  expect((await client.list({})).processes).toEqual([]);
});
