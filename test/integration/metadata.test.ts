import { createHash } from "node:crypto";
import { readFileSync, statSync } from "node:fs";
import { join } from "node:path";
import { expect, test } from "vitest";
import { startTestAgent, type TestAgent } from "../helpers/agent.ts";
import { envs, init } from "../helpers/init-client.ts";
import { MetadataServer } from "../helpers/metadata-server.ts";

const sha512 = (text: string) => createHash("sha512").update(text).digest("hex");
const DATA = { instanceID: "sandbox-1", envID: "template-1", address: "", accessTokenHash: "" };

/** An agent that believes to be in a virtual machine. */
async function inVm(
  data: Record<string, string> | undefined,
  body: (agent: TestAgent, service: MetadataServer) => Promise<void>,
): Promise<void> {
  await using service = await MetadataServer.start(data);
  await using agent = await startTestAgent({ isNotFc: false, metadataUrl: service.url });
  await body(agent, service);
}

test("the sandbox's name reaches variables and files", async () => {
  await inVm(DATA, async (agent) => {
    await expect
      .poll(() => envs(agent))
      .toMatchObject({
        E2B_SANDBOX: "true",
        E2B_SANDBOX_ID: "sandbox-1",
        E2B_TEMPLATE_ID: "template-1",
      });
    const file = (name: string) => join(agent.config.runDir, name);
    await expect
      .poll(() => statSync(file(".E2B_TEMPLATE_ID"), { throwIfNoEntry: false })?.size)
      .toBe(10);
    expect(readFileSync(file(".E2B_SANDBOX"), "utf8")).toBe("true");
    expect(readFileSync(file(".E2B_SANDBOX_ID"), "utf8")).toBe("sandbox-1");
    expect(readFileSync(file(".E2B_TEMPLATE_ID"), "utf8")).toBe("template-1");
  });
});

test("after each init the name is asked for anew", async () => {
  await inVm(DATA, async (agent, service) => {
    await expect.poll(() => envs(agent)).toMatchObject({ E2B_SANDBOX_ID: "sandbox-1" });
    service.data = { ...DATA, instanceID: "sandbox-2" };

    await init(agent);

    await expect.poll(() => envs(agent)).toMatchObject({ E2B_SANDBOX_ID: "sandbox-2" });
  });
});

test("only the token that the platform expects is taken", async () => {
  await inVm({ ...DATA, accessTokenHash: sha512("right") }, async (agent, service) => {
    expect((await init(agent)).status).toBe(401);
    expect((await init(agent, { accessToken: "wrong" })).status).toBe(401);
    expect((await init(agent, { accessToken: "right" })).status).toBe(204);
    expect((await fetch(`${agent.url}/envs`)).status).toBe(401);

    service.data = { ...DATA, accessTokenHash: sha512("next") };
    expect((await init(agent, { accessToken: "right" })).status).toBe(204);
    expect((await init(agent, { accessToken: "next" })).status).toBe(204);
    expect((await init(agent, { accessToken: "right" })).status).toBe(401);

    service.data = { ...DATA, accessTokenHash: sha512("") };
    expect((await init(agent)).status).toBe(204);
    expect((await fetch(`${agent.url}/envs`)).status).toBe(200);
  });
});

test("who hangs up during the question does not get in", async () => {
  await inVm({ ...DATA, accessTokenHash: sha512("right") }, async (agent, service) => {
    await expect.poll(() => envs(agent)).toMatchObject({ E2B_SANDBOX_ID: "sandbox-1" });
    service.isSilent = true;
    const asked = service.requests.length;
    const leaving = new AbortController();
    const request = fetch(`${agent.url}/init`, {
      method: "POST",
      body: JSON.stringify({ accessToken: "wrong", envVars: { A: "1" } }),
      signal: leaving.signal,
    });
    await expect.poll(() => service.requests.length).toBeGreaterThan(asked);
    leaving.abort();
    await expect(request).rejects.toThrow();
    service.isSilent = false;

    expect((await init(agent, { accessToken: "right" })).status).toBe(204);
    expect(await envs(agent, "right")).not.toHaveProperty("A");
  });
});

test("who waits for a turn and leaves does not hold up the next", async () => {
  await inVm(DATA, async (agent, service) => {
    await expect.poll(() => envs(agent)).toMatchObject({ E2B_SANDBOX_ID: "sandbox-1" });
    service.isSilent = true;
    const asked = service.requests.length;
    const first = new AbortController();
    const second = new AbortController();
    const calls = [first, second].map(({ signal }) =>
      fetch(`${agent.url}/init`, { method: "POST", body: "{}", signal }).catch(() => "left"),
    );
    await expect.poll(() => service.requests.length).toBeGreaterThan(asked);
    second.abort();
    first.abort();
    expect(await Promise.all(calls)).toEqual(["left", "left"]);
    service.isSilent = false;

    expect((await init(agent)).status).toBe(204);
  });
});

test("log lines go to the address the platform names", async () => {
  await using service = await MetadataServer.start();
  await using agent = await startTestAgent({
    isNotFc: false,
    metadataUrl: service.url,
    logLevel: "error",
    runDir: "/proc/thaw/none",
    hostsFile: "/proc/thaw/none",
  });
  await init(agent, { hyperloopIP: "10.0.0.1" });
  service.data = { ...DATA, address: `${service.url}/logs` };
  await init(agent);

  await expect.poll(() => service.posts.length).toBeGreaterThan(0);
  expect(JSON.parse(service.posts[0] as string)).toMatchObject({
    level: "error",
    message: "hosts file: not done",
    instanceID: "sandbox-1",
    envID: "template-1",
  });
});
