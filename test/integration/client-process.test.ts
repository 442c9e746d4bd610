import { createHash } from "node:crypto";
import { existsSync, readFileSync } from "node:fs";
import { describe, expect, vi } from "vitest";
import { Guest, type GuestProcess, Interrupted } from "../../src/client/index.ts";
import { startTestAgent, test } from "../helpers/agent.ts";
import { CUTS, CuttingProxy } from "../helpers/cutting-proxy.ts";

/** What `seq 1 last` writes. */
const sequence = (last: number) =>
  Array.from({ length: last }, (_, index) => `${index + 1}\n`).join("");
const sha256 = (bytes: Buffer | string) => createHash("sha256").update(bytes).digest("hex");
const bytesOf = (text: string) => new TextEncoder().encode(text);
const SHORT = { keepaliveMs: 1_000 };

/** Resolves with the text of stdout once `enough` of it has come; the loop is left then. */
async function readUntil(program: GuestProcess, enough: string): Promise<string> {
  let text = "";
  for await (const output of program) {
    if (output.kind === "stdout") text += Buffer.from(output.bytes).toString();
    if (text.includes(enough)) break;
  }
  return text;
}

describe.for(["1.1", "2"] as const)("a program over HTTP/%s", (httpVersion) => {
  test.for(CUTS)("is followed on when its connection is cut: %s", async (cut, { agent }) => {
    await using proxy = await CuttingProxy.start(agent.port);
    using guest = new Guest(proxy.url, { httpVersion });
    const told: string[] = [];
    const program = await guest.process.start("sh", {
      ...SHORT,
      args: ["-c", "echo one; read go; echo two"],
      stdin: true,
      onInterrupted: ({ kind }) => told.push(`interrupted: ${kind}`),
      onResumed: () => told.push("resumed"),
    });
    const output = program[Symbol.asyncIterator]();
    expect((await output.next()).value).toMatchObject({ offset: 0, bytes: bytesOf("one\n") });
    const next = output.next();
    proxy.cut(cut);
    await vi.waitFor(() => expect(told).toContain("resumed"), { timeout: 20_000 });

    await program.sendInput(Buffer.from("go\n"));

    expect((await next).value).toMatchObject({ offset: 4, bytes: bytesOf("two\n") });
    expect(await program.wait()).toMatchObject({ exitCode: 0 });
    expect(told).toEqual([
      expect.stringMatching(/^interrupted: (unreachable|timeout)$/),
      "resumed",
    ]);
  });

  test("gets what it is given once, in order, when connections are cut", async ({ agent }) => {
    await using proxy = await CuttingProxy.start(agent.port);
    using guest = new Guest(proxy.url, { httpVersion });
    const program = await guest.process.start("sha256sum", { ...SHORT, stdin: true });
    const content = Buffer.from(sequence(400_000));
    const answered = program.text();
    const writes: Promise<void>[] = [];
    let nextCut = 200_000;
    proxy.onBytes = () => {
      if (proxy.bytesUp < nextCut) return;
      nextCut += 300_000;
      proxy.cut("reset");
    };

    for (let at = 0; at < content.length; at += 50_000) {
      writes.push(program.sendInput(content.subarray(at, at + 50_000)));
    }
    await Promise.all(writes);
    await program.closeStdin();

    expect(proxy.taken, "it was cut").toBeGreaterThan(5);
    expect((await answered).stdout).toBe(`${sha256(content)}  -\n`);
  });
});

describe("a program", () => {
  test("is started once when the answer was lost", async ({ agent }) => {
    await using proxy = await CuttingProxy.start(agent.port);
    using guest = new Guest(proxy.url);
    let isCut = false;
    proxy.onBytes = () => {
      if (isCut || proxy.bytesDown === 0 || agent.connections() === 0) return;
      isCut = true;
      proxy.cut("reset");
    };
    const program = await guest.process.start("sh", {
      args: ["-c", `echo started >> ${agent.directory}/starts; cat ${agent.directory}/starts`],
    });

    expect(await program.text()).toMatchObject({ stdout: "started\n", exitCode: 0 });
    expect(isCut).toBe(true);
  });

  test("can be left in the middle of its output and followed on", async ({ agent }) => {
    using guest = new Guest(agent.url);
    const program = await guest.process.start("seq", { args: ["1", "100000"] });
    let text = "";
    for (let round = 0; round < 3; round++) {
      for await (const output of program) {
        if (output.kind === "stdout") text += Buffer.from(output.bytes).toString();
        break;
      }
    }
    const { stdout } = await program.text();

    expect(text.length).toBeGreaterThan(0);
    expect(sha256(text + stdout)).toBe(sha256(sequence(100_000)));
  });

  test("waits for a slow reader who wants every byte", async ({ agent }) => {
    using guest = new Guest(agent.url);
    const program = await guest.process.start("seq", {
      args: ["1", "200000"],
      logBytes: 65_536,
      whenFull: "wait",
    });
    let stdout = "";
    for (let round = 0; program.offsets.stdout < 1_288_895; round++) {
      // Each round opens another stream, and holds the one before no longer up.
      for await (const output of program) {
        if (output.kind === "gap") throw new Error("nothing may be lost");
        stdout += Buffer.from(output.bytes).toString();
        if (stdout.length > round * 200_000) break;
      }
    }

    expect(await program.wait()).toMatchObject({ exitCode: 0 });
    expect(sha256(stdout)).toBe(sha256(sequence(200_000)));
  });

  test("tells of output that nobody holds any more", async ({ agent }) => {
    using guest = new Guest(agent.url);
    const args = ["-c", "seq 1 100000; echo end >&2; read go"];
    const program = await guest.process.start("sh", { args, stdin: true, logBytes: 65_536 });
    for await (const output of program) if (output.kind === "stderr") break;
    using again = await guest.process.connect(program.pid, { from: "start" });
    const first = await again[Symbol.asyncIterator]().next();

    expect(first.value).toMatchObject({ kind: "gap", output: "stdout", from: 0 });
    await program.kill();
  });

  test("is joined from now on", async ({ agent }) => {
    using guest = new Guest(agent.url);
    const args = ["-c", "echo before; read go; echo after"];
    const program = await guest.process.start("sh", { args, stdin: true, tag: "joined" });
    await readUntil(program, "before");
    const joined = await guest.process.connect("joined");
    await joined.sendInput(Buffer.from("go\n"));

    expect(joined.pid).toBe(program.pid);
    expect(await joined.text()).toMatchObject({ stdout: "after\n", exitCode: 0 });
    expect(await program.text()).toMatchObject({ stdout: "after\n", exitCode: 0 });
  });

  test("takes the input of several writers whole", async ({ agent }) => {
    using guest = new Guest(agent.url);
    const first = await guest.process.start("cat", { stdin: true });
    const second = await guest.process.connect(first.pid);
    await first.sendInput(Buffer.from("first "));
    await second.sendInput(Buffer.from("second "));
    await first.sendInput(Buffer.from("third"));
    await first.closeStdin();

    expect((await first.text()).stdout).toBe("first second third");
  });

  test("that does not read yet gets its input once all the same", async ({ agent }) => {
    using guest = new Guest(agent.url);
    // Longer than the first attempt of a write is waited for.
    const args = ["-c", "sleep 6; exec sha256sum"];
    const program = await guest.process.start("sh", { args, stdin: true });
    const content = Buffer.from(sequence(100_000));
    const writes = [program.sendInput(content.subarray(0, 300_000))];
    writes.push(program.sendInput(content.subarray(300_000)), program.closeStdin());
    await Promise.all(writes);

    expect((await program.text()).stdout).toBe(`${sha256(content)}  -\n`);
  });

  test("on a terminal takes keys and sizes", async ({ agent }) => {
    using guest = new Guest(agent.url);
    const program = await guest.process.start("sh", {
      args: ["-c", "read go; stty size"],
      pty: { cols: 80, rows: 24 },
    });
    await program.resize({ cols: 100, rows: 30 });
    await program.sendInput(Buffer.from("go\n"));

    expect((await program.text()).pty).toContain("30 100");
  });

  test("that a guest knows no more is interrupted, with the place to go on", async () => {
    const before = await startTestAgent();
    using guest = new Guest(before.url);
    const program = await guest.process.start("sh", { args: ["-c", "echo one; sleep 1000"] });
    await readUntil(program, "one");
    const waiting = program.wait().catch((reason: unknown) => reason);
    await before.close(0);
    await using _after = await startTestAgent({ port: before.port });

    const reason = await waiting;
    expect(reason).toBeInstanceOf(Interrupted);
    expect(reason).toMatchObject({ kind: "not-found", pid: program.pid });
    expect(reason).toMatchObject({ offsets: { stdout: 4, stderr: 0, pty: 0 } });
  });

  test("of a guest that is gone is interrupted when patience ends", async () => {
    await using agent = await startTestAgent();
    using guest = new Guest(agent.url);
    const program = await guest.process.start("sleep", { args: ["1000"], giveUpAfterMs: 500 });
    const waiting = program.wait();
    await Promise.all([
      expect(waiting).rejects.toMatchObject({ name: "Interrupted", kind: "unreachable" }),
      agent.close(0),
    ]);
  });

  test("is left by its handle and by its caller's signal, and lives on", async ({ agent }) => {
    using guest = new Guest(agent.url);
    const leaving = new AbortController();
    const one = await guest.process.start("sleep", { args: ["1000"], signal: leaving.signal });
    const two = await guest.process.start("sleep", { args: ["1000"] });
    const waits = Promise.all([
      expect(one.wait()).rejects.toThrow("enough"),
      expect(two.wait()).rejects.toMatchObject({ kind: "canceled" }),
    ]);
    leaving.abort(new Error("enough"));
    two.disconnect();
    await waits;

    const pids = (await guest.process.list()).map(({ pid }) => pid);
    expect(pids.toSorted()).toEqual([one.pid, two.pid].toSorted());
  });

  test("is not waited for where nobody listens", async () => {
    await using agent = await startTestAgent();
    await agent.close();
    using guest = new Guest(agent.url);

    const starting = guest.process.start("true", { firstContactMs: 0 });
    await expect(starting).rejects.toMatchObject({ kind: "unreachable" });
  });
});

describe("the end of a program", () => {
  test("says by what it came, and what was used and written", async ({ agent }) => {
    using guest = new Guest(agent.url);
    const killed = await guest.process.start("sleep", { args: ["1000"] });
    await killed.kill("SIGUSR1");
    const written = await guest.process.start("sh", { args: ["-c", "echo four; exit 3"] });

    expect(await killed.wait()).toMatchObject({ exitCode: -1, signal: 10, killedByAgent: true });
    expect(await written.wait()).toMatchObject({
      exitCode: 3,
      killedByAgent: false,
      written: { stdout: 5, stderr: 0, pty: 0 },
      usage: { maxResidentBytes: expect.any(Number) },
    });
  });

  test("says that its life-time was over", async ({ agent }) => {
    using guest = new Guest(agent.url);
    const program = await guest.process.start("sleep", { args: ["1000"], lifetimeMs: 300 });

    expect(await program.wait()).toMatchObject({ exitCode: -1, timedOut: true });
  });

  test("comes with the exit for who asks, and names who still holds the output", async ({
    agent,
  }) => {
    using guest = new Guest(agent.url);
    const program = await guest.process.start("sh", {
      args: ["-c", "sleep 1000 & echo $!"],
      endAtExit: true,
    });
    const { stdout, exitCode, holders } = await program.text();
    await guest.process.start("kill", { args: [stdout.trim()] }).then((kill) => kill.wait());

    expect(exitCode).toBe(0);
    expect(holders).toEqual([{ pid: Number(stdout), command: "sleep 1000" }]);
  });
});

test("a kill reaches all that a program has started, and tells who is left", async ({ agent }) => {
  using guest = new Guest(agent.url);
  const program = await guest.process.start("sh", {
    args: ["-c", "setsid sleep 1000 & echo $!; wait"],
  });
  const output = program[Symbol.asyncIterator]();
  const first = (await output.next()).value;
  const pid = first?.kind === "stdout" ? Number(Buffer.from(first.bytes).toString()) : 0;
  const { survivors } = await program.kill("SIGTERM", { scope: true, graceMs: 5_000 });

  expect(survivors).toEqual([]);
  expect(pid).toBeGreaterThan(1);
  // Whoever adopts it may be slow to bury it.
  const path = `/proc/${pid}/stat`;
  expect(existsSync(path) ? readFileSync(path, "utf8") : ") Z").toContain(") Z");
  expect(await program.wait()).toMatchObject({ killedByAgent: true });
});

describe("a window", () => {
  test("lets so much come that was not shown, also after a cut", async ({ agent }) => {
    await using proxy = await CuttingProxy.start(agent.port);
    using guest = new Guest(proxy.url);
    const program = await guest.process.start("seq", {
      args: ["1", "100000"],
      windowBytes: 16_384,
      whenFull: "wait",
      ...SHORT,
    });
    let ahead = 0;
    let shown = 0;
    let text = "";
    let cuts = 0;
    for await (const output of program) {
      if (output.kind !== "stdout") throw new Error(`${output.kind} is not expected`);
      text += Buffer.from(output.bytes).toString();
      ahead = Math.max(ahead, program.offsets.stdout - shown);
      if (text.length > 100_000 * (cuts + 1)) {
        cuts++;
        proxy.cut("reset");
      }
      if (program.offsets.stdout - shown < 8_192) continue;
      shown = program.offsets.stdout;
      program.acknowledge(program.offsets);
    }

    expect(sha256(text)).toBe(sha256(sequence(100_000)));
    expect(cuts).toBeGreaterThan(3);
    expect(ahead).toBeLessThanOrEqual(2 * 16_384);
  });
});

describe("the connections of a guest", () => {
  test("are told the life that the guest is in, by who is asked for it alone", async ({
    agent,
  }) => {
    using guest = new Guest(agent.url);
    const { generationId } = await guest.snapshot.status();
    const silent = await fetch(`${agent.url}/health`);
    const asked = await fetch(`${agent.url}/health`, { headers: { "thaw-generation": "?" } });

    expect(silent.headers.has("thaw-generation")).toBe(false);
    expect(asked.headers.get("thaw-generation")).toBe(generationId);
  });

  test("of the life before are dropped as soon as an answer tells of another one", async ({
    agent,
  }) => {
    await using proxy = await CuttingProxy.start(agent.port);
    using guest = new Guest(proxy.url);
    using host = new Guest(agent.url);
    let resume = () => {};
    const resumed = new Promise<void>((resolve) => (resume = resolve));
    const program = await guest.process.start("sleep", {
      args: ["1000"],
      // Silence alone would be noticed much later.
      keepaliveMs: 60_000,
      onResumed: () => resume(),
    });
    const waiting = program.wait();
    await guest.process.list();
    const taken = proxy.taken;
    proxy.cutOldest("drop");
    const start = performance.now();
    await host.snapshot.restore();
    await guest.process.list();
    await resumed;

    expect(performance.now() - start).toBeLessThan(8_000);
    expect(proxy.taken - taken, "no more are opened than are needed").toBeLessThanOrEqual(3);
    await program.kill();
    expect(await waiting).toMatchObject({ status: "signal: terminated" });
  });
});
