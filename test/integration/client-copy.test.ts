import { randomBytes } from "node:crypto";
import { mkdirSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect } from "vitest";
import { type CopyPlan, Guest, GuestError } from "../../src/client/index.ts";
import { type TestAgent, test } from "../helpers/agent.ts";
import { CUTS, CuttingProxy } from "../helpers/cutting-proxy.ts";
import { fingerprint, makeTree } from "../helpers/file-tree.ts";
import { seeded } from "../helpers/resuming.ts";

const MIB = 1024 * 1024;
/** The long form is what is promised; the short one is for every day. */
const IS_LONG = process.env["THAW_LONG"] === "1";
const FILES = IS_LONG ? 20_000 : 500;
const LARGE_BYTES = (IS_LONG ? 200 : 6) * MIB;
const LEAST_CUTS = IS_LONG ? 200 : 10;
const TIMEOUT_MS = IS_LONG ? 600_000 : 60_000;

/** Two directories: one is ours, with a tree in it, the other is the guest's. */
function places({ directory }: TestAgent): { from: string; to: string } {
  const from = join(directory, "from");
  makeTree(from, FILES);
  writeFileSync(join(from, "large"), randomBytes(LARGE_BYTES));
  writeFileSync(join(from, "nothing"), "");
  return { from, to: join(directory, "to") };
}

/** Cuts at random until it was often enough. */
function cutAtRandom(proxy: CuttingProxy, way: "bytesUp" | "bytesDown", bytes: number) {
  const random = seeded(7);
  const mean = (0.7 * bytes) / LEAST_CUTS;
  const report = { cuts: 0 };
  let next = random(mean);
  proxy.onBytes = () => {
    if (proxy[way] < next || report.cuts === 2 * LEAST_CUTS) return;
    next = proxy[way] + 1 + random(2 * mean);
    report.cuts++;
    proxy.cut(CUTS[1 + random(2)] ?? "reset");
  };
  return report;
}

function bytesOf(directory: string): number {
  const names = readdirSync(directory, { recursive: true, encoding: "utf8" }).filter(
    (name) => !name.startsWith("link/"),
  );
  const files = names.map((name) => statSync(join(directory, name), { throwIfNoEntry: false }));
  return files.reduce((sum, stats) => sum + (stats?.isFile() === true ? stats.size : 0), 0);
}

describe.for(["1.1", "2"] as const)("a directory over HTTP/%s", (httpVersion) => {
  test.for([
    ["into the guest", "bytesUp"],
    ["out of it", "bytesDown"],
  ] as const)(
    "is copied %s, whole, however often it is cut off",
    { timeout: TIMEOUT_MS },
    async ([, way], { agent }) => {
      await using proxy = await CuttingProxy.start(agent.port);
      using guest = new Guest(proxy.url, { httpVersion });
      const { from, to } = places(agent);
      const bytes = bytesOf(from);
      const report = cutAtRandom(proxy, way, bytes);
      const start = performance.now();
      const told: string[] = [];
      const seen: [number, number][] = [];
      const options = {
        onInterrupted: () => told.push("interrupted"),
        onResumed: () => told.push("resumed"),
        onProgress: (done: number, total: number) => seen.push([done, total]),
      };

      const { skipped } =
        way === "bytesUp"
          ? await guest.files.copyIn(from, to, options)
          : await guest.files.copyOut(from, to, options);

      expect(skipped).toEqual([]);
      expect(fingerprint(to)).toEqual(fingerprint(from));
      expect(report.cuts).toBeGreaterThanOrEqual(LEAST_CUTS);
      expect(seen.at(0)).toEqual([0, bytes]);
      expect(seen.at(-1)).toEqual([bytes, bytes]);
      expect(told.slice(0, 3)).toEqual(["interrupted", "resumed", "interrupted"]);
      expect(told.at(-1)).toBe("resumed");
      const seconds = ((performance.now() - start) / 1_000).toFixed(1);
      console.log(`${way} over HTTP/${httpVersion}: ${bytes} B, ${report.cuts} cuts, ${seconds} s`);
    },
  );
});

describe("a copy", () => {
  test("sends what is different alone, and removes the rest when it is told to", async ({
    agent,
  }) => {
    using guest = new Guest(agent.url);
    const from = join(agent.directory, "from");
    const to = join(agent.directory, "to");
    makeTree(from, 20);
    await guest.files.copyIn(from, to);
    writeFileSync(join(from, "new"), "new");
    writeFileSync(join(to, "extra"), "extra");
    const plans: CopyPlan[] = [];
    const options = { deletes: true, onPlan: (plan: CopyPlan) => plans.push(plan) };

    await guest.files.copyIn(from, to, { ...options, isDry: true });
    expect(readdirSync(to)).toContain("extra");
    await guest.files.copyIn(from, to, options);

    for (const { files, removals, directories, links } of plans) {
      expect(files.map(({ path }) => path)).toEqual(["new"]);
      expect(removals.map(({ path }) => path)).toEqual(["extra"]);
      expect([directories, links]).toEqual([[], []]);
    }
    expect(plans.length).toBe(2);
    expect(fingerprint(to)).toEqual(fingerprint(from));
  });

  test("of a file keeps its mode and time, both ways", async ({ agent }) => {
    using guest = new Guest(agent.url);
    const at = (name: string) => join(agent.directory, name);
    makeTree(at("tree"), 1);
    const source = at("tree/d0/s0/file 0 ü");

    await guest.files.copyIn(source, at("in"));
    await guest.files.copyOut(at("in"), at("out"));

    for (const path of [at("in"), at("out")]) {
      const { mode, mtimeMs, size } = statSync(path);
      const expected = statSync(source);
      expect([mode, mtimeMs, size]).toEqual([expected.mode, expected.mtimeMs, expected.size]);
    }
  });

  test("ends at once with its signal, and a later one goes on from there", async ({ agent }) => {
    await using proxy = await CuttingProxy.start(agent.port);
    using guest = new Guest(proxy.url);
    const { from, to } = places(agent);
    writeFileSync(join(from, "large"), randomBytes(24 * MIB));
    const leaving = new AbortController();
    proxy.onBytes = () => {
      if (proxy.bytesUp > 16 * MIB) leaving.abort(new Error("enough"));
    };
    const copying = guest.files.copyIn(from, to, { signal: leaving.signal });
    await expect(copying).rejects.toThrow("enough");
    const carried = proxy.bytesUp;
    await guest.files.copyIn(from, to);

    expect(fingerprint(to)).toEqual(fingerprint(from));
    expect(proxy.bytesUp - carried).toBeLessThan(18 * MIB);
  });

  test("of many small files gets through where no connection lasts for long", async ({ agent }) => {
    await using proxy = await CuttingProxy.start(agent.port);
    using guest = new Guest(proxy.url);
    const [from, to] = [join(agent.directory, "from"), join(agent.directory, "to")];
    mkdirSync(from);
    for (let index = 0; index < 32; index++) {
      writeFileSync(join(from, `file-${index}`), randomBytes(64 * 1024));
    }
    let taken = 0;
    let before = 0;
    proxy.onBytes = () => {
      if (proxy.taken !== taken) [taken, before] = [proxy.taken, proxy.bytesUp];
      if (proxy.bytesUp - before > 400 * 1024) proxy.cut("reset");
    };

    await guest.files.copyIn(from, to);

    expect(fingerprint(to)).toEqual(fingerprint(from));
  });

  test("that is cut after its last file does not fetch the others again", async ({ agent }) => {
    using guest = new Guest(agent.url);
    const [from, to] = [join(agent.directory, "from"), join(agent.directory, "to")];
    makeTree(from, 20);
    const { files } = guest;
    const readTree = files.readTree.bind(files);
    let asked = 0;
    files.readTree = async function* (...request) {
      asked++;
      yield* readTree(...request);
      throw new GuestError("unreachable", "cut between the last file and the end");
    };

    expect(await files.copyOut(from, to)).toEqual({ skipped: [] });

    expect(asked).toBe(1);
    expect(fingerprint(to)).toEqual(fingerprint(from));
  });

  test("takes names of any length, both ways", async ({ agent }) => {
    using guest = new Guest(agent.url);
    const at = (name: string) => join(agent.directory, name);
    mkdirSync(at("from"));
    const names = ["ü".repeat(127), "中".repeat(85), "x".repeat(255), `${"x".repeat(254)}y`];
    for (const name of names) writeFileSync(join(at("from"), name), name);
    const large = `${"x".repeat(250)}large`;
    writeFileSync(join(at("from"), large), randomBytes(5 * MIB));

    await guest.files.copyIn(at("from"), at("there"));
    await guest.files.copyOut(at("there"), at("back"));

    expect(fingerprint(at("there"))).toEqual(fingerprint(at("from")));
    expect(fingerprint(at("back"))).toEqual(fingerprint(at("from")));
  });

  test.for(["copyIn", "copyOut"] as const)(
    "%s leaves out what has no name in text, and says so",
    async (way, { agent }) => {
      using guest = new Guest(agent.url);
      const at = (name: string) => join(agent.directory, name);
      mkdirSync(at("from"));
      writeFileSync(Buffer.concat([Buffer.from(at("from/odd-")), Buffer.of(0xff)]), "odd");
      writeFileSync(at("from/even"), "even");
      writeFileSync(at("from/new\nline"), "line");

      const { skipped } = await guest.files[way](at("from"), at("to"));

      expect(skipped).toEqual([expect.stringContaining("odd-")]);
      expect(readdirSync(at("to")).toSorted()).toEqual(["even", "new\nline"]);
      expect(readFileSync(at("to/even"), "utf8")).toBe("even");
    },
  );

  test("leaves out a file that cannot be read, and says so", async ({ agent }) => {
    using guest = new Guest(agent.url);
    const at = (name: string) => join(agent.directory, name);
    mkdirSync(at("from"));
    for (const name of ["one", "other"]) writeFileSync(at(`from/${name}`), name);
    // It cannot be read as a file any more when its turn comes.
    const onPlan = () => replaceByDirectory(at("from/one"));

    const { skipped } = await guest.files.copyIn(at("from"), at("to"), { onPlan });

    expect(skipped).toEqual([expect.stringContaining("one: read: EISDIR")]);
    expect(readdirSync(at("to"))).toEqual(["other"]);
  });

  test("of what is not there says so, on either side", async ({ agent }) => {
    using guest = new Guest(agent.url);
    const nothing = join(agent.directory, "nothing");

    await expect(guest.files.copyIn(nothing, "/tmp/never")).rejects.toMatchObject({
      name: "GuestError",
      message: expect.stringContaining("no such file"),
    });
    await expect(guest.files.copyOut(nothing, "/tmp/never")).rejects.toMatchObject({
      kind: "not-found",
    });
  });
});

test("a tar stream whose source fails is not sent again, and says why", async ({ agent }) => {
  using guest = new Guest(agent.url);
  async function* failing() {
    yield Buffer.alloc(512);
    throw new Error("the source is broken");
  }

  await expect(guest.files.writeTree(`${agent.directory}/to`, failing())).rejects.toMatchObject({
    name: "GuestError",
    kind: "failed",
    message: "the source is broken",
  });
});

function replaceByDirectory(path: string): void {
  rmSync(path);
  mkdirSync(path);
}
