import { expect, test, vi } from "vitest";
import { startTestAgent, type TestAgent } from "../helpers/agent.ts";
import { CgroupRoot, cgroup2Mount } from "../helpers/cgroup-root.ts";
import { running, shell, start, text } from "../helpers/process.ts";

const where = shell("cat /proc/self/cgroup");
const groupOf = async (agent: TestAgent, request: Parameters<typeof start>[1]) => {
  const events = await start(agent.process(), request);
  return text(events, request.pty === undefined ? "stdout" : "pty")
    .split(/\r?\n/)
    .find((line) => line.startsWith("0::"));
};

/** Runs `body` with an agent whose groups are below a fresh root. */
async function withGroups(
  body: (agent: TestAgent, root: CgroupRoot) => Promise<void>,
): Promise<void> {
  await using root = new CgroupRoot();
  await using agent = await startTestAgent({ cgroupRoot: root.path, noCgroups: false });
  await body(agent, root);
}

const reason = "this machine has no cgroup v2 hierarchy that tests may write to";
if (cgroup2Mount === undefined) console.warn(`skipped: ${reason}`);
const groupTest = test.skipIf(cgroup2Mount === undefined);

groupTest("a program is born in the group of its kind, and a system one in the agent's own", () =>
  withGroups(async (agent, root) => {
    const name = root.path.split("/").at(-1);

    expect(await groupOf(agent, where)).toBe(`0::/${name}/user`);
    expect(await groupOf(agent, { ...where, pty: {} })).toBe(`0::/${name}/ptys`);
    expect(await groupOf(agent, { ...where, tag: "_system" })).not.toContain(name);
  }),
);

groupTest("a program started while the guest is frozen runs once it is thawed", () =>
  withGroups(async (agent) => {
    expect((await fetch(`${agent.url}/freeze?maxWaitMs=1000`, { method: "POST" })).status).toBe(
      200,
    );
    const begun = vi.fn();
    const late = running(agent.process(), shell("echo late")).then((program) => {
      begun();
      return program.rest();
    });

    const system = await start(agent.process("h2-proto"), { ...shell("echo now"), tag: "_system" });
    expect(text(system, "stdout")).toBe("now\n");
    expect((await fetch(`${agent.url}/health`)).status).toBe(204);
    expect(begun).not.toHaveBeenCalled();
    expect((await fetch(`${agent.url}/unfreeze`, { method: "POST" })).status).toBe(204);

    expect(text(await late, "stdout")).toBe("late\n");
  }),
);
