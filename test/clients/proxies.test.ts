import { createHash, randomBytes } from "node:crypto";
import { mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { describe, expect, vi } from "vitest";
import { Guest } from "../../src/client/index.ts";
import { test } from "../helpers/agent.ts";
import { PROXIES, Proxy } from "../helpers/proxies.ts";

const MIB = 1024 * 1024;
/** Below the limit of the proxies, so that what is quiet stays open. */
const LIVELY = { keepaliveMs: 1_000 };
/** Far above it. */
const SILENT = { keepaliveMs: 60_000 };
const sha256 = (bytes: Uint8Array | string) => createHash("sha256").update(bytes).digest("hex");

/** Restarts `proxy` whenever so much more is done, so many times. */
function restartEvery(proxy: Proxy, step: number, times: number): (done: number) => void {
  let next = step;
  return (done) => {
    if (done < next || proxy.restarts === times) return;
    next = done + step;
    void proxy.restart();
  };
}

describe.for(PROXIES)("behind %s over HTTP/%s", ([name, httpVersion]) => {
  test("a quiet stream stays open by its signs of life", async ({ agent }) => {
    await using proxy = await Proxy.start(name, agent.port);
    using guest = new Guest(proxy.url, { httpVersion });
    const told: string[] = [];
    const onInterrupted = ({ message }: Error) => told.push(message);
    const program = await guest.process.start("sh", {
      ...LIVELY,
      args: ["-c", "echo one; sleep 5; echo two"],
      onInterrupted,
    });
    mkdirSync(`${agent.directory}/d`);
    using watch = await guest.files.watch(`${agent.directory}/d`, { ...LIVELY, onInterrupted });
    const change = watch[Symbol.asyncIterator]().next();

    expect(await program.text()).toMatchObject({ stdout: "one\ntwo\n", exitCode: 0 });
    writeFileSync(`${agent.directory}/d/file`, "");
    expect((await change).value).toEqual({ kind: "create", name: "file" });
    expect(told).toEqual([]);
  });

  test("a stream that is cut for its silence goes on", async ({ agent }) => {
    await using proxy = await Proxy.start(name, agent.port);
    using guest = new Guest(proxy.url, { httpVersion });
    let cuts = 0;
    const program = await guest.process.start("sh", {
      ...SILENT,
      args: ["-c", "echo one; sleep 5; echo two"],
      onInterrupted: () => cuts++,
    });

    expect(await program.text()).toMatchObject({ stdout: "one\ntwo\n", exitCode: 0 });
    expect(cuts).toBeGreaterThan(0);
  });

  test("output and input go on when it is restarted", async ({ agent }) => {
    await using proxy = await Proxy.start(name, agent.port);
    using guest = new Guest(proxy.url, { httpVersion });
    const program = await guest.process.start("cat", { ...LIVELY, stdin: true, whenFull: "wait" });
    const restart = restartEvery(proxy, 600_000, 5);
    const content = randomBytes(4 * MIB);
    const hash = createHash("sha256");
    const reading = (async () => {
      for await (const output of program) {
        if (output.kind === "gap") throw new Error("nothing may be lost");
        hash.update(output.bytes);
        restart(program.offsets.stdout);
      }
    })();
    for (let at = 0; at < content.length; at += 100_000) {
      await program.sendInput(content.subarray(at, at + 100_000));
    }
    await program.closeStdin();
    await reading;

    expect(await program.wait()).toMatchObject({ exitCode: 0 });
    expect(hash.digest("hex")).toBe(sha256(content));
    expect(proxy.restarts).toBe(5);
  });

  test("uploads, downloads and watches go on when it is restarted", async ({ agent }) => {
    await using proxy = await Proxy.start(name, agent.port);
    using guest = new Guest(proxy.url, { httpVersion });
    const content = randomBytes(16 * MIB);
    const directory = `${agent.directory}/d`;
    mkdirSync(directory);
    using watch = await guest.files.watch(directory, LIVELY);
    const changes = watch[Symbol.asyncIterator]();
    await guest.files.upload(content, `${agent.directory}/there`, {
      onProgress: restartEvery(proxy, 3 * MIB, 4),
    });
    await guest.files.download(`${agent.directory}/there`, `${agent.directory}/back`, {
      onProgress: restartEvery(proxy, 3 * MIB, 8),
    });
    mkdirSync(`${directory}/made`);

    expect(proxy.restarts).toBe(8);
    expect(sha256(readFileSync(`${agent.directory}/there`))).toBe(sha256(content));
    expect(sha256(readFileSync(`${agent.directory}/back`))).toBe(sha256(content));
    expect((await changes.next()).value).toEqual({ kind: "create", name: "made" });
  });

  test("calls are answered after a restart as before", async ({ agent }) => {
    await using proxy = await Proxy.start(name, agent.port);
    using guest = new Guest(proxy.url, { httpVersion });
    expect(await guest.process.list()).toEqual([]);
    await proxy.restart();

    await vi.waitFor(async () => expect(await guest.process.list()).toEqual([]), 15_000);
    expect(await guest.version()).toMatch(/^\d/);
  });
});
