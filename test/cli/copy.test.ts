import { createHash, randomBytes } from "node:crypto";
import {
  chmodSync,
  createReadStream,
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  utimesSync,
  writeFileSync,
} from "node:fs";
import { open } from "node:fs/promises";
import { join } from "node:path";
import { describe, expect } from "vitest";
import { type TestAgent, test } from "../helpers/agent.ts";
import { CuttingProxy } from "../helpers/cutting-proxy.ts";
import { fingerprint, makeTree } from "../helpers/file-tree.ts";
import { runProgram } from "../helpers/run-program.ts";
import { Terminal } from "../helpers/terminal.ts";
import { RunningThaw, thaw } from "../helpers/thaw.ts";

const isLong = process.env["THAW_LONG"] === "1";
const FILE_BYTES = (isLong ? 1_000 : 100) * 1_000_000;
const FILES = isLong ? 10_000 : 1_000;
const PIECE_BYTES = 10_000_000;

const portOf = (agent: TestAgent) => Number(new URL(agent.url).port);

async function sha256(path: string): Promise<string> {
  const hash = createHash("sha256");
  for await (const bytes of createReadStream(path)) hash.update(bytes as Buffer);
  return hash.digest("hex");
}

async function makeFile(path: string, bytes: number): Promise<void> {
  await using file = await open(path, "w");
  for (let at = 0; at < bytes; at += PIECE_BYTES) {
    await file.write(randomBytes(Math.min(PIECE_BYTES, bytes - at)));
  }
}

/** Two directories: one is ours, the other is the guest's. */
function places({ directory }: TestAgent): { here: string; there: string } {
  const [here, there] = [join(directory, "here"), join(directory, "there")];
  mkdirSync(here);
  mkdirSync(there);
  return { here, there };
}

/** Runs `thaw` through `proxy`, and kills it once `isEnough` bytes have gone by. */
async function killed(proxy: CuttingProxy, args: string[], isEnough: () => boolean): Promise<void> {
  await using running = new RunningThaw(args);
  proxy.onBytes = () => {
    if (isEnough()) running.child.kill("SIGKILL");
  };
  expect(await running.exited).toBe("SIGKILL");
  proxy.onBytes = () => {};
}

describe("thaw cp", () => {
  test("copies a file both ways with its content, mode and time", async ({ agent }) => {
    const { here, there } = places(agent);
    const source = join(here, "source");
    writeFileSync(source, randomBytes(5_000_000));
    chmodSync(source, 0o751);
    utimesSync(source, 1_600_000_000.25, 1_600_000_000.25);

    const up = await thaw(["cp", source, `${agent.url}:${there}`]);
    const down = await thaw(["cp", `${agent.url}:${there}/source`, join(here, "back")]);

    expect([up, down]).toMatchObject([
      { code: 0, stdout: "", stderr: "" },
      { code: 0, stdout: "", stderr: "" },
    ]);
    for (const path of [join(there, "source"), join(here, "back")]) {
      expect(readFileSync(path).equals(readFileSync(source))).toBe(true);
      const { mode, mtimeMs } = statSync(path);
      expect([mode & 0o777, mtimeMs]).toEqual([0o751, 1_600_000_000_250]);
    }
  });

  test("copies a file again that was removed meanwhile", async ({ agent }) => {
    const { here, there } = places(agent);
    const source = join(here, "source");
    writeFileSync(source, "content");
    const copy = () => thaw(["cp", source, `${agent.url}:${there}/copy`]);

    await copy();
    rmSync(join(there, "copy"));
    const again = await copy();

    expect(again).toMatchObject({ code: 0, stderr: "" });
    expect(readFileSync(join(there, "copy"), "utf8")).toBe("content");
  });

  test("goes on with a large file that was sent in part when it was killed", async ({ agent }) => {
    const { here, there } = places(agent);
    const source = join(here, "source");
    await makeFile(source, FILE_BYTES);
    await using proxy = await CuttingProxy.start(portOf(agent));
    const args = ["cp", source, `${proxy.url}:${there}/copy`];

    await killed(proxy, args, () => proxy.bytesUp > FILE_BYTES * 0.4);
    expect(existsSync(join(there, "copy"))).toBe(false);
    const result = await thaw(args);

    expect(result).toMatchObject({ code: 0, stderr: "" });
    expect(await sha256(join(there, "copy"))).toBe(await sha256(source));
    expect(proxy.bytesUp).toBeLessThan(FILE_BYTES * 1.3);
  });

  test("goes on with a large file that was fetched in part when it was killed", async ({
    agent,
  }) => {
    const { here, there } = places(agent);
    const source = join(there, "source");
    await makeFile(source, FILE_BYTES);
    await using proxy = await CuttingProxy.start(portOf(agent));
    const args = ["cp", `${proxy.url}:${source}`, join(here, "copy")];

    await killed(proxy, args, () => proxy.bytesDown > FILE_BYTES * 0.4);
    expect(existsSync(join(here, "copy"))).toBe(false);
    const result = await thaw(args);

    expect(result).toMatchObject({ code: 0, stderr: "" });
    expect(await sha256(join(here, "copy"))).toBe(await sha256(source));
    expect(proxy.bytesDown).toBeLessThan(FILE_BYTES * 1.3);
    expect(readdirSync(here)).toEqual(["copy"]);
  });

  test("goes on with a tree that was sent in part when it was killed", async ({ agent }) => {
    const { here, there } = places(agent);
    makeTree(join(here, "tree"), FILES);
    await using proxy = await CuttingProxy.start(portOf(agent));
    const args = ["cp", join(here, "tree"), `${proxy.url}:${there}`];
    const bytes = FILES * 2_500;

    await killed(proxy, args, () => proxy.bytesUp > bytes * 0.4);
    const result = await thaw(args);

    expect(result).toMatchObject({ code: 0, stderr: "" });
    expect(fingerprint(join(there, "tree"))).toEqual(fingerprint(join(here, "tree")));
  });

  test("goes on with a tree that was fetched in part when it was killed", async ({ agent }) => {
    const { here, there } = places(agent);
    makeTree(join(there, "tree"), FILES);
    await using proxy = await CuttingProxy.start(portOf(agent));
    const args = ["cp", `${proxy.url}:${there}/tree`, here];
    const bytes = FILES * 2_500;

    await killed(proxy, args, () => proxy.bytesDown > bytes * 0.4);
    const began = readdirSync(join(here, "tree"), { recursive: true }).length;
    const result = await thaw(args);

    expect(began).toBeGreaterThan(10);
    expect(result).toMatchObject({ code: 0, stderr: "" });
    expect(fingerprint(join(here, "tree"))).toEqual(fingerprint(join(there, "tree")));
  });

  test("goes on by itself when the connection is cut", async ({ agent }) => {
    const { here, there } = places(agent);
    const source = join(here, "source");
    await makeFile(source, 50_000_000);
    await using proxy = await CuttingProxy.start(portOf(agent));
    let cuts = 0;
    proxy.onBytes = () => {
      if (proxy.bytesUp < 20_000_000 * (cuts + 1) || cuts === 2) return;
      cuts++;
      proxy.cut("reset");
    };

    const result = await thaw(["cp", source, `${proxy.url}:${there}/copy`]);

    expect(result.code).toBe(0);
    expect(result.stderr).toMatch(/^(thaw: the connection was cut; going on .*\n){1,2}$/);
    expect(await sha256(join(there, "copy"))).toBe(await sha256(source));
  });

  test("copies several into a directory, and refuses what is not there", async ({ agent }) => {
    const { here, there } = places(agent);
    writeFileSync(join(here, "one"), "1");
    writeFileSync(join(here, "two"), "2");
    const sources = [join(here, "one"), join(here, "two")];

    const both = await thaw(["cp", ...sources, `${agent.url}:${there}/new`]);
    const none = await thaw(["cp", `${agent.url}:${there}/no-such-file`, here]);
    const local = await thaw(["cp", ...sources]);

    expect(both.code).toBe(0);
    expect(readdirSync(join(there, "new"))).toEqual(["one", "two"]);
    expect(none).toMatchObject({ code: 1, stderr: expect.stringContaining("no such file") });
    expect(local).toMatchObject({ code: 2, stderr: expect.stringContaining("TARGET:PATH") });
  });

  test("draws its progress in a terminal", async ({ agent }) => {
    const { here, there } = places(agent);
    await makeFile(join(here, "source"), 20_000_000);

    await using terminal = await Terminal.open(agent.url, [
      "cp",
      join(here, "source"),
      `${agent.url}:${there}`,
    ]);

    expect(await terminal.exitCode()).toBe(0);
    expect(terminal.shown).toMatch(/100% \[={24}\] {2}19M\/19M .*source/);
  });
});

describe("thaw sync", () => {
  test("sends what changed alone, and tells it", async ({ agent }) => {
    const { here, there } = places(agent);
    makeTree(join(here, "tree"), 50);
    const target = `${agent.url}:${there}/tree`;
    const first = await thaw(["sync", join(here, "tree"), target]);
    writeFileSync(join(here, "tree/d1/new"), "new");
    rmSync(join(here, "tree/link"));
    mkdirSync(join(here, "tree/link"));
    writeFileSync(join(there, "tree/extra"), "not ours");

    const dry = await thaw(["sync", "-n", "--delete", join(here, "tree"), target]);
    const kept = await thaw(["sync", join(here, "tree"), target]);
    const withExtra = readdirSync(join(there, "tree"));
    const deleted = await thaw(["sync", "--delete", join(here, "tree"), target]);

    expect(first.stdout.split("\n").length).toBeGreaterThan(50);
    expect(dry.stdout).toBe("- link\n- extra\n+ d1/new\n+ link/\n");
    expect(kept.stdout).toBe("- link\n+ d1/new\n+ link/\n");
    expect(withExtra).toContain("extra");
    expect(deleted.stdout).toBe("- extra\n");
    expect(fingerprint(join(there, "tree"))).toEqual(fingerprint(join(here, "tree")));
  });

  test("brings a directory here, and sees by checksum what time and size hide", async ({
    agent,
  }) => {
    const { here, there } = places(agent);
    makeTree(join(there, "tree"), 50);
    const args = [`${agent.url}:${there}/tree`, join(here, "tree")];
    await thaw(["sync", "-q", ...args]);
    const path = join(here, "tree/d5/s5/file 5 ü");
    const { mtime } = statSync(path);
    writeFileSync(path, Buffer.alloc(statSync(path).size, "x"));
    utimesSync(path, mtime, mtime);

    const byTime = await thaw(["sync", ...args]);
    const bySum = await thaw(["sync", "--checksum", ...args]);

    expect(byTime.stdout).toBe("");
    expect(bySum.stdout).toBe("+ d5/s5/file 5 ü\n");
    expect(fingerprint(join(here, "tree"))).toEqual(fingerprint(join(there, "tree")));
  });

  test("removes nothing where the guest could not look at everything", async ({ agent }) => {
    const { here, there } = places(agent);
    writeFileSync(join(here, "extra"), "not the guest's");
    // Deeper than a path can be long: nobody reads it by its name.
    const dig = 'cd "$1"; for i in $(seq 20); do n=$(printf %0250d 1); mkdir $n; cd $n; done';
    await runProgram("sh", ["-c", dig, "-", there]);

    const result = await thaw(["sync", "--delete", `${agent.url}:${there}`, here]);

    expect(result).toMatchObject({
      code: 1,
      stderr: expect.stringContaining("nothing is removed"),
    });
    expect(readFileSync(join(here, "extra"), "utf8")).toBe("not the guest's");
    await runProgram("rm", ["-rf", here, there]);
  });
});
