import { mkdtempSync, readdirSync, readFileSync, rmSync, statSync } from "node:fs";
import { writeFile } from "node:fs/promises";
import { request } from "node:http";
import { cpus, tmpdir, totalmem } from "node:os";
import { join } from "node:path";
import { describe, expect } from "vitest";
import { startTestAgent, type TestAgent, test } from "../helpers/agent.ts";
import { CgroupRoot, cgroup2Mount } from "../helpers/cgroup-root.ts";
import { init } from "../helpers/init-client.ts";
import { ScratchMount, scratchProblem } from "../helpers/scratch-mount.ts";

const problem = scratchProblem();
if (problem !== undefined) console.warn(`fsfreeze is not tested, no loop device: ${problem}`);

const post = (agent: TestAgent, path: string, headers: Record<string, string> = {}) =>
  fetch(`${agent.url}${path}`, { method: "POST", headers });

/** A file that is not there yet, and is removed at the end. */
class TemporaryFile implements Disposable {
  readonly #directory = mkdtempSync(join(tmpdir(), "thaw-"));
  readonly path = join(this.#directory, "file");

  read(): string {
    return readFileSync(this.path, "utf8");
  }

  [Symbol.dispose](): void {
    rmSync(this.#directory, { recursive: true });
  }
}

/** Starts a program that counts up on its output, and gives the way to read on. */
async function startCounter(agent: TestAgent) {
  const script = "i=0; while :; do i=$((i+1)); echo $i; sleep 0.005; done";
  const leaving = new AbortController();
  const stream = agent
    .process()
    .start({ process: { cmd: "sh", args: ["-c", script] } }, { signal: leaving.signal });
  const events = stream[Symbol.asyncIterator]();
  const started = await events.next();
  if (started.done === true || started.value.event?.event.case !== "start") throw new Error("end");
  const { pid } = started.value.event.event.value;
  return { pid, events, leave: () => leaving.abort() };
}

describe("health", () => {
  test("an agent that lives answers with nothing", async ({ agent }) => {
    const response = await fetch(`${agent.url}/health`);

    expect(response.status).toBe(204);
    expect(response.headers.get("cache-control")).toBe("no-store");
    expect(response.headers.get("content-type")).toBeNull();
  });

  test("in the other dialect it tells its version", async () => {
    await using agent = await startTestAgent({ dialect: "wrenn" });

    const response = await fetch(`${agent.url}/health`);

    expect(response.status).toBe(200);
    expect(response.headers.get("cache-control")).toBe("no-store");
    expect(await response.json()).toEqual({ version: "0.6.11" });
  });
});

test("the metrics are those of the machine", async ({ agent }) => {
  const response = await fetch(`${agent.url}/metrics`);
  const metrics = (await response.json()) as Record<string, number>;

  expect(response.headers.get("content-type")).toBe("application/json");
  expect(Object.keys(metrics).toSorted()).toEqual([
    "cpu_count",
    "cpu_used_pct",
    "disk_total",
    "disk_used",
    "mem_cache",
    "mem_total",
    "mem_total_mib",
    "mem_used",
    "mem_used_mib",
    "ts",
  ]);
  expect(metrics).toMatchObject({
    cpu_count: cpus().length,
    mem_total: totalmem(),
    mem_total_mib: Math.floor(totalmem() / 1024 / 1024),
  });
  const { cpu_used_pct: busy, ...integers } = metrics;
  expect(busy).toBeGreaterThan(0);
  expect(busy).toBeLessThanOrEqual(100);
  expect(Object.values(integers).every(Number.isSafeInteger)).toBe(true);
  expect(Math.abs((metrics["ts"] as number) - Date.now() / 1_000)).toBeLessThan(2);
});

test("metrics are read in a few milliseconds", async ({ agent }) => {
  const times: number[] = [];
  for (let round = 0; round < 20; round += 1) {
    const start = performance.now();
    await (await fetch(`${agent.url}/metrics`)).arrayBuffer();
    times.push(performance.now() - start);
  }

  expect(times.toSorted((a, b) => a - b)[10]).toBeLessThan(20);
});

test("collapsing answers with the statistics, one or many at once", async ({ agent }) => {
  const responses = await Promise.all([1, 2, 3].map(() => post(agent, "/collapse")));

  for (const response of responses) {
    expect(response.status).toBe(200);
    expect(await response.json()).toEqual({
      regions: 0,
      chunks: 0,
      collapsed: 0,
      alreadyHuge: 0,
      skipped: 0,
      elapsedMs: expect.any(Number),
    });
  }
});

test("a live upgrade is refused, whatever comes along", async ({ agent }) => {
  const body = Buffer.alloc(20 * 1024 * 1024);
  const response = await fetch(`${agent.url}/upgrade`, { method: "POST", body });

  expect(response.status).toBe(501);
  expect(await response.json()).toEqual({ code: 501, message: "live upgrade is not supported" });
});

test("the control paths need the token", async ({ agent }) => {
  await init(agent, { accessToken: "secret" });
  const paths = ["/freeze", "/unfreeze", "/fsfreeze", "/fsthaw", "/collapse", "/upgrade"];

  const statuses = await Promise.all(paths.map(async (path) => (await post(agent, path)).status));

  expect(new Set(statuses)).toEqual(new Set([401]));
  expect((await post(agent, "/unfreeze", { "X-Access-Token": "secret" })).status).toBe(204);
});

test("Wrenn's dialect lacks the paths of E2B's", async ({ agent }) => {
  await using other = await startTestAgent({ dialect: "wrenn" });
  const paths = ["/freeze", "/unfreeze", "/fsfreeze", "/fsthaw", "/collapse", "/upgrade"];

  for (const path of paths) expect((await post(other, path)).status).toBe(404);
  expect((await post(agent, "/snapshot/prepare")).status).toBe(204);
  expect((await post(other, "/snapshot/prepare")).status).toBe(204);
  expect((await fetch(`${other.url}/health`)).status).toBe(200);
  expect((await init(other)).status).toBe(204);
});

describe("freeze", () => {
  test("without groups there is nothing to freeze", async ({ agent }) => {
    expect((await post(agent, "/freeze")).status).toBe(204);
    expect((await post(agent, "/freeze?maxWaitMs=0")).status).toBe(204);
    expect((await post(agent, "/freeze?maxWaitMs=-5")).status).toBe(204);
    const response = await post(agent, "/freeze?maxWaitMs=100&mode=hierarchy&maxCgroups=8");
    expect(response.status).toBe(200);
    expect(await response.json()).toEqual({
      mode: "hierarchy",
      visited: 0,
      allowlisted: 0,
      truncated: false,
      preFrozen: 0,
      requested: 0,
      frozen: 0,
      notFrozen: 0,
      failed: 0,
      unobservable: 0,
      sweepMs: 0,
      waitMs: 0,
    });
    expect((await post(agent, "/unfreeze")).status).toBe(204);
  });

  test.for(["maxWaitMs=x", "maxWaitMs=", "maxWaitMs=1.5", "maxCgroups=many", "mode=deep"])(
    "%s is a 400 that names the parameter",
    async (query, { agent }) => {
      const response = await post(agent, `/freeze?${query}`);

      expect(response.status).toBe(400);
      expect(response.headers.get("content-type")).toMatch(/^text\/plain/);
      expect(await response.text()).toContain(query.split("=")[0]);
    },
  );

  describe.skipIf(cgroup2Mount === undefined)("with a cgroup v2 hierarchy", () => {
    /** An agent that puts programs into groups of its own. */
    async function withGroups(
      body: (agent: TestAgent, root: CgroupRoot) => Promise<void>,
    ): Promise<void> {
      await using root = new CgroupRoot();
      await using agent = await startTestAgent({ noCgroups: false, cgroupRoot: root.path });
      await body(agent, root);
    }

    test("programs and terminals are put into their groups", async () => {
      await withGroups(async (agent, root) => {
        const counter = await startCounter(agent);
        expect(root.read("user", "cgroup.procs").split("\n")).toContain(String(counter.pid));

        const stream = agent.process().start({
          process: { cmd: "cat" },
          pty: { size: { cols: 80, rows: 24 } },
        });
        await stream[Symbol.asyncIterator]().next();
        expect(root.read("ptys", "cgroup.procs")).not.toBe("");
      });
    });

    test("frozen programs stand still, the agent answers, and a thaw lets them go on", async () => {
      await withGroups(async (agent, root) => {
        const counter = await startCounter(agent);
        await counter.events.next();

        const frozen = await post(agent, "/freeze?maxWaitMs=2000");
        expect(await frozen.json()).toMatchObject({ frozen: 2, notFrozen: 0, failed: 0 });
        expect(root.isAtRest("user")).toBe(true);
        expect((await fetch(`${agent.url}/health`)).status).toBe(204);

        expect((await post(agent, "/unfreeze")).status).toBe(204);
        expect(root.read("user", "cgroup.freeze")).toBe("0");
        for (let event = 0; event < 5; event += 1) await counter.events.next();
        counter.leave();
      });
    });

    test("an init thaws, and tells how the freeze was", async () => {
      await withGroups(async (agent, root) => {
        await post(agent, "/freeze?maxWaitMs=2000");

        const first = await init(agent, { timestamp: "2020-01-02T00:00:00Z" });
        expect(JSON.parse(first.headers.get("x-envd-freeze-audit") ?? "")).toEqual({
          visited: 2,
          frozen: 2,
          escaped: 0,
          violations: 0,
          truncated: false,
        });
        expect(root.read("user", "cgroup.freeze")).toBe("0");
        expect((await init(agent)).headers.get("x-envd-freeze-audit")).toBeNull();
      });
    });

    test("an init that is stale or fails thaws too, one that is refused does not", async () => {
      await withGroups(async (agent, root) => {
        const token = { "X-Access-Token": "secret" };
        const accessToken = "secret";
        await init(agent, { timestamp: "2020-01-02T00:00:00Z", accessToken });

        await post(agent, "/freeze", token);
        expect((await init(agent, { accessToken: "wrong" })).status).toBe(401);
        expect(root.read("user", "cgroup.freeze")).toBe("1");
        const stale = await init(agent, { timestamp: "2020-01-01T00:00:00Z", accessToken });
        expect(stale.status).toBe(204);
        expect(root.read("user", "cgroup.freeze")).toBe("0");

        await post(agent, "/freeze", token);
        expect((await init(agent, { accessToken, hyperloopIP: "bad" })).status).toBe(400);
        expect(root.read("user", "cgroup.freeze")).toBe("0");
      });
    });

    test("an agent that ends leaves nothing frozen, and programs take their leave", async () => {
      await using root = new CgroupRoot();
      using farewell = new TemporaryFile();
      const agent = await startTestAgent({ noCgroups: false, cgroupRoot: root.path });
      const script = `trap 'echo bye > ${farewell.path}; exit' TERM; echo on; while :; do sleep 0.005; done`;
      const stream = agent.process().start({ process: { cmd: "sh", args: ["-c", script] } });
      const events = stream[Symbol.asyncIterator]();
      await events.next();
      await events.next();
      await post(agent, "/freeze?maxWaitMs=2000");

      await agent.close();

      expect(root.read("user", "cgroup.freeze")).toBe("0");
      expect(farewell.read()).toBe("bye\n");
      // The last program of the shell that has ended goes by itself.
      await expect.poll(() => root.read("user", "cgroup.procs")).toBe("");
    });
  });
});

describe("fsfreeze", () => {
  test("a file system that cannot be frozen is a 500 that says so", async ({ agent }) => {
    const response = await post(agent, "/fsfreeze");

    expect(response.status).toBe(500);
    expect(await response.json()).toEqual({ code: 500, message: "ioctl: ENOTSUP" });
  });

  describe.skipIf(problem !== undefined)("on a file system of its own", () => {
    test("writing stops until the thaw, and the agent lives on meanwhile", async () => {
      using mount = new ScratchMount();
      await using agent = await startTestAgent({ frozenPath: mount.path });

      expect((await post(agent, "/fsfreeze")).status).toBe(204);
      expect((await post(agent, "/fsfreeze")).status).toBe(204);
      // More than there are pool threads.
      const writes = Array.from({ length: 8 }, (_, number) =>
        writeFile(join(mount.path, `file-${number}`), "text"),
      );
      expect((await fetch(`${agent.url}/health`)).status).toBe(204);
      expect((await fetch(`${agent.url}/metrics`)).status).toBe(200);
      expect(readdirSync(mount.path)).toEqual(["lost+found"]);

      expect((await post(agent, "/fsthaw")).status).toBe(204);
      expect((await post(agent, "/fsthaw")).status).toBe(204);
      await Promise.all(writes);
      expect(statSync(join(mount.path, "file-7")).size).toBe(4);
    });

    test("a thaw is done for a caller who does not wait", async () => {
      using mount = new ScratchMount();
      await using agent = await startTestAgent({ frozenPath: mount.path });
      await post(agent, "/fsfreeze");

      const call = request(`${agent.url}/fsthaw`, { method: "POST" });
      call.on("error", () => {});
      call.once("finish", () => call.socket?.end());
      call.end();

      await writeFile(join(mount.path, "file"), "text");
    });

    test("an agent that ends leaves nothing frozen", async () => {
      using mount = new ScratchMount();
      const agent = await startTestAgent({ frozenPath: mount.path });
      await post(agent, "/fsfreeze");

      await agent.close();

      await writeFile(join(mount.path, "file"), "text");
    });
  });
});
