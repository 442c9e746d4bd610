import { existsSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { expect, test, vi } from "vitest";
import { Signal } from "../../gen/process/process_pb.js";
import { startTestAgent, type TestAgent } from "../helpers/agent.ts";
import { CgroupRoot, cgroup2Mount } from "../helpers/cgroup-root.ts";
import { type Followed, running, shell } from "../helpers/process.ts";

const IN_TIME = { timeout: 15_000, interval: 5 };
const KILLS = 20;
/** Where a chain ends by itself, after some ten seconds. */
const GENERATIONS = 10_000;

const reason = "this machine has no cgroup v2 hierarchy that tests may write to";
if (cgroup2Mount === undefined) console.warn(`skipped: ${reason}`);
const groupTest = test.skipIf(cgroup2Mount === undefined);

/** Runs `body` with an agent whose groups are below a fresh root. */
async function withGroups(
  body: (agent: TestAgent, root: CgroupRoot) => Promise<void>,
): Promise<void> {
  await using root = new CgroupRoot();
  await using agent = await startTestAgent({ cgroupRoot: root.path, noCgroups: false });
  await body(agent, root);
}

/**
 * Programs of which each starts the next and ends: none of them is there for longer than it takes
 * to list them all. They end when it is disposed of, and in any case after 10,000 generations.
 */
class Chain implements Disposable {
  readonly #script: string;
  readonly #generation: string;

  constructor(directory: string, name: string) {
    this.#script = join(directory, name);
    this.#generation = `${this.#script}.reached`;
    const next = `echo $1 >${this.#generation}; sh $0 $(($1 + 1)) & exit`;
    writeFileSync(this.#script, `[ $1 -lt ${GENERATIONS} ] || exit\n${next}\n`);
  }

  async run(agent: TestAgent) {
    rmSync(this.#generation, { force: true });
    const process = { cmd: "sh", args: [this.#script, "0"] };
    const run = await running(agent.process("h2-proto"), { process });
    await vi.waitFor(() => expect(this.generation).toBeGreaterThan(5), IN_TIME);
    return run;
  }

  /** How far it has come. */
  get generation(): number {
    return existsSync(this.#generation) ? Number(readFileSync(this.#generation, "latin1")) : 0;
  }

  [Symbol.dispose](): void {
    rmSync(this.#script, { force: true });
  }
}

const pensIn = (root: CgroupRoot) =>
  ["user", "ptys"].flatMap((kind) =>
    readdirSync(join(root.path, kind)).filter((name) => name.startsWith("kill-")),
  );
const kill = (
  agent: TestAgent,
  run: Followed,
  signal = Signal.SIGKILL,
  grace?: { nanos: number },
) =>
  agent
    .process()
    .sendSignal({ process: run.selector, scope: true, signal, ...(grace && { grace }) });

groupTest(
  `a scope that forks faster than it is looked for is killed, ${KILLS} times of ${KILLS}`,
  () =>
    withGroups(async (agent, root) => {
      using chain = new Chain(agent.directory, "chain");
      for (let done = 0; done < KILLS; done += 1) {
        const run = await chain.run(agent);

        const { survivors, signalled } = await kill(agent, run);

        expect(survivors).toEqual([]);
        expect(signalled).toBeGreaterThanOrEqual(1);
        expect(root.read("user", "cgroup.procs")).toBe("");
        expect(chain.generation).toBeLessThan(GENERATIONS - 1);
        expect(pensIn(root)).toEqual([]);
        await run.rest();
      }
    }),
);

groupTest("such a scope is killed after a grace time as well", () =>
  withGroups(async (agent, root) => {
    using chain = new Chain(agent.directory, "chain");
    const run = await chain.run(agent);

    expect(await kill(agent, run, Signal.SIGTERM, { nanos: 1_000_000 })).toMatchObject({
      survivors: [],
    });

    expect(root.read("user", "cgroup.procs")).toBe("");
    expect(chain.generation).toBeLessThan(GENERATIONS - 1);
    await run.rest();
  }),
);

groupTest("a kill of the scope leaves others alone that fork as fast", () =>
  withGroups(async (agent, root) => {
    using chain = new Chain(agent.directory, "chain");
    using other = new Chain(agent.directory, "other");
    const stranger = await other.run(agent);
    const sleeper = await running(agent.process("h2-proto"), {
      process: { cmd: "sleep", args: ["1000"] },
    });
    const run = await chain.run(agent);

    const { survivors } = await kill(agent, run);

    expect(survivors).toEqual([]);
    const reached = other.generation;
    await vi.waitFor(() => expect(other.generation).toBeGreaterThan(reached + 5), IN_TIME);
    expect(root.read("user", "cgroup.procs").split("\n")).toContain(String(sleeper.pid));
    expect(pensIn(root)).toEqual([]);
    await Promise.all([run.rest(), kill(agent, sleeper), kill(agent, stranger)]);
    await Promise.all([sleeper.rest(), stranger.rest()]);
    expect(root.read("user", "cgroup.procs")).toBe("");
  }),
);

groupTest("a scope is killed while the guest is frozen, and that stays frozen", () =>
  withGroups(async (agent, root) => {
    const request = shell("sleep 1000 & setsid sleep 1000 & wait");
    const run = await running(agent.process("h2-proto"), request);
    const frozen = await fetch(`${agent.url}/freeze?maxWaitMs=5000`, { method: "POST" });
    expect(frozen.status).toBe(200);

    expect((await kill(agent, run)).survivors).toEqual([]);

    expect(root.isAtRest("user")).toBe(true);
    expect(root.read("user", "cgroup.procs")).toBe("");
    await run.rest();
  }),
);
