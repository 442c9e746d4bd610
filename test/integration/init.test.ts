import { mkdirSync, readFileSync, statSync, writeFileSync } from "node:fs";
import { connect } from "node:net";
import { join } from "node:path";
import { describe, expect, vi } from "vitest";
import { startTestAgent, test } from "../helpers/agent.ts";
import { FakePrograms } from "../helpers/fake-programs.ts";
import { envs, init } from "../helpers/init-client.ts";

/** A time on `seconds` after a fixed one. */
const at = (seconds: number, fraction = "") =>
  new Date(Date.UTC(2020, 0, 1) + seconds * 1_000).toISOString().replace(".000Z", `${fraction}Z`);

test("an empty request is answered with nothing, the version and no cache", async ({ agent }) => {
  const response = await init(agent);

  expect(response.status).toBe(204);
  expect(response.headers.get("x-envd-version")).toBe("0.6.11");
  expect(response.headers.get("cache-control")).toBe("no-store");
  expect(response.headers.get("x-envd-freeze-audit")).toBeNull();
  expect(await response.text()).toBe("");
});

test("variables are replaced as a whole, and the agent's own stay", async ({ agent }) => {
  await init(agent, { envVars: { A: "1", B: "2", E2B_SANDBOX: "mine" } });
  expect(await envs(agent)).toEqual({ A: "1", B: "2", E2B_SANDBOX: "false" });

  await init(agent, { defaultUser: "root" });
  expect(await envs(agent)).toMatchObject({ A: "1", B: "2" });

  await init(agent, { envVars: { C: "3" } });
  expect(await envs(agent)).toEqual({ C: "3", E2B_SANDBOX: "false" });
});

test("variables, user and directory reach the next program", async ({ agent, user }) => {
  const workdir = join(agent.directory, "work");
  mkdirSync(workdir);
  await fetch(`${agent.url}/init`, { method: "POST", body: "{}" });
  await init(agent, {
    envVars: { GREETING: "hello" },
    defaultUser: user.name,
    defaultWorkdir: "/tmp",
  });

  const events = agent.process().start({
    process: { cmd: "sh", args: ["-c", 'echo "$GREETING $(id -un) $(pwd) $E2B_SANDBOX"'] },
  });
  let output = "";
  for await (const { event } of events) {
    if (event?.event.case !== "data" || event.event.value.output.case !== "stdout") continue;
    output += Buffer.from(event.event.value.output.value).toString();
  }

  expect(output).toBe("hello thaw-test /tmp false\n");
});

test("a token is required once it is set, except for what the contract exempts", async ({
  agent,
}) => {
  await init(agent, { accessToken: "first" });

  expect((await fetch(`${agent.url}/envs`)).status).toBe(401);
  expect(await envs(agent, "first")).toEqual({ E2B_SANDBOX: "false" });
  expect((await fetch(`${agent.url}/health`)).status).toBe(204);
});

test.for([
  [{}, "access token reset not authorized"],
  [{ accessToken: "second" }, "access token validation failed"],
] as const)("%j is refused while another token is set", async ([body, message], { agent }) => {
  await init(agent, { accessToken: "first" });

  const response = await init(agent, { ...body, envVars: { A: "1" } });

  expect(response.status).toBe(401);
  expect(await response.text()).toBe(`${message}\n`);
  expect(response.headers.get("content-type")).toMatch(/^text\/plain/);
  expect(response.headers.get("x-envd-version")).toBe("0.6.11");
  expect(await envs(agent, "first")).not.toHaveProperty("A");
  expect((await init(agent, { accessToken: "first" })).status).toBe(204);
});

test("the token in the header does not count", async ({ agent }) => {
  await init(agent, { accessToken: "first" });

  const response = await fetch(`${agent.url}/init`, {
    method: "POST",
    body: "{}",
    headers: { "X-Access-Token": "first" },
  });

  expect(response.status).toBe(401);
});

test("what is older than the newest is answered and not applied", async ({ agent }) => {
  const send = async (name: string, timestamp?: string) => {
    const body = { envVars: { NAME: name }, ...(timestamp === undefined ? {} : { timestamp }) };
    expect((await init(agent, body)).status).toBe(204);
    return (await envs(agent))["NAME"];
  };

  expect(await send("first", at(10))).toBe("first");
  expect(await send("same", at(10))).toBe("same");
  expect(await send("older", at(9))).toBe("same");
  expect(await send("untimed")).toBe("untimed");
  expect(await send("a nanosecond later", at(10, ".000000001"))).toBe("a nanosecond later");
  expect(await send("between", at(10))).toBe("a nanosecond later");
  expect(await send("elsewhere", "2020-01-01T02:00:11+02:00")).toBe("elsewhere");
});

test("a request that fails outdates older ones all the same", async ({ agent }) => {
  const failing = await init(agent, { timestamp: at(20), hyperloopIP: "no address" });
  expect(failing.status).toBe(400);
  expect(await failing.text()).toBe('"hyperloopIP" is no address: "no address"\n');

  await init(agent, { timestamp: at(19), envVars: { A: "1" } });
  expect(await envs(agent)).not.toHaveProperty("A");
});

test("the address of the events reaches variables and the hosts file", async ({ agent }) => {
  for (const address of ["10.0.0.1", "10.0.0.2", "10.0.0.2"]) {
    expect((await init(agent, { hyperloopIP: address })).status).toBe(204);
  }

  expect(await envs(agent)).toMatchObject({ E2B_EVENTS_ADDRESS: "http://10.0.0.2" });
  await expect
    .poll(() => readFileSync(agent.config.hostsFile, "utf8"))
    .toBe("127.0.0.1 localhost\n10.0.0.2\tevents.e2b.local\n");
});

test("certificates are trusted when the answer is there", async ({ agent }) => {
  const pem = "-----BEGIN CERTIFICATE-----\nYWJj\n-----END CERTIFICATE-----";

  expect((await init(agent, { caBundle: pem })).status).toBe(204);

  expect(readFileSync(agent.config.caBundleFile, "utf8")).toBe(`${pem}\n`);
  await expect
    .poll(() => statSync(agent.config.caExtraFile, { throwIfNoEntry: false })?.size)
    .toBe(pem.length + 1);
});

test("the files in the run directory say that this is no virtual machine", async ({ agent }) => {
  const file = join(agent.config.runDir, ".E2B_SANDBOX");

  await expect.poll(() => statSync(file, { throwIfNoEntry: false })?.size).toBe(5);

  expect(readFileSync(file, "utf8")).toBe("false");
  expect(statSync(file).mode & 0o7777).toBe(0o444);
  expect(statSync(agent.config.runDir).mode & 0o7777).toBe(0o755);
});

test("the same request a hundred times at once is done a hundred times", async ({ agent }) => {
  const body = { timestamp: at(1), envVars: { A: "1" }, hyperloopIP: "10.0.0.1", caBundle: "X" };

  const responses = await Promise.all(Array.from({ length: 100 }, () => init(agent, body)));

  expect(new Set(responses.map(({ status }) => status))).toEqual(new Set([204]));
  expect(readFileSync(agent.config.caBundleFile, "utf8")).toBe("X\n");
});

test("an ordinary request is done in less than 50 ms", async ({ agent }) => {
  const body = { timestamp: at(1), envVars: { A: "1" }, defaultUser: "root", caBundle: "X" };
  const times: number[] = [];
  for (let round = 0; round < 20; round += 1) {
    const start = performance.now();
    await init(agent, body);
    times.push(performance.now() - start);
  }

  expect(times.toSorted((a, b) => a - b)[10]).toBeLessThan(50);
});

describe("bad input", () => {
  test.for([
    "{",
    "[]",
    "1",
    "x",
    '{"timestamp":5}',
    '{"timestamp":"yesterday"}',
    '{"envVars":[]}',
    '{"envVars":{"A":1}}',
    '{"accessToken":1}',
    '{"accessToken":""}',
    '{"accessToken":"a\\\\b"}',
    '{"hyperloopIP":1}',
    '{"defaultUser":1}',
    '{"defaultWorkdir":1}',
    '{"caBundle":1}',
    '{"lifecycleID":1}',
    '{"volumeMounts":1}',
    '{"volumeMounts":[{"path":1}]}',
  ])("%s is a 400 without words, and changes nothing", async (body, { agent }) => {
    const response = await init(agent, body);

    expect(response.status).toBe(400);
    expect(await response.text()).toBe("");
    expect(response.headers.get("x-envd-version")).toBe("0.6.11");
    expect(await envs(agent)).toEqual({ E2B_SANDBOX: "false" });
  });

  test("a body that is too long is a 413, announced or not", async ({ agent }) => {
    const body = Buffer.alloc(5 * 1024 * 1024, " ");
    const announced = await fetch(`${agent.url}/init`, { method: "POST", body });
    const streamed = await fetch(`${agent.url}/init`, {
      method: "POST",
      body: new Blob([body]).stream(),
      duplex: "half",
    });

    expect([announced.status, streamed.status]).toEqual([413, 413]);
    expect((await init(agent)).status).toBe(204);
  });

  test("a bundle that is missing is a 400 with the reason", async () => {
    await using agent = await startTestAgent({ caBundleFile: "/thaw/no/such" });

    const response = await init(agent, { caBundle: "X" });

    expect(response.status).toBe(400);
    expect(await response.text()).toContain("ENOENT");
  });

  test.for(["Content-Length: 100\r\n\r\n{", "Transfer-Encoding: chunked\r\n\r\n5\r\n{"])(
    "a caller who breaks off within the body harms nobody: %j",
    async (rest, { agent }) => {
      const socket = connect(agent.port, "127.0.0.1");
      socket.on("error", () => {});
      socket.write(`POST /init HTTP/1.1\r\nHost: localhost\r\n${rest}`);
      await new Promise((resolve) => socket.once("connect", resolve));
      socket.destroy();

      expect((await init(agent, { envVars: { A: "1" } })).status).toBe(204);
      expect(await envs(agent)).toMatchObject({ A: "1" });
    },
  );
});

describe("in the other dialect", () => {
  test.override({ config: { dialect: "wrenn" } });

  test("variables are added to those before", async ({ agent }) => {
    await init(agent, { envVars: { A: "1", B: "2" } });
    await init(agent, { envVars: { B: "3" } });

    expect(await envs(agent)).toEqual({ A: "1", B: "3", WRENN_SANDBOX: "false" });
  });

  test("only what is newer is applied", async ({ agent }) => {
    await init(agent, { timestamp: at(10), envVars: { A: "1" } });
    await init(agent, { timestamp: at(10), envVars: { A: "2" } });

    expect(await envs(agent)).toMatchObject({ A: "1" });
  });

  test("names are its own", async ({ agent }) => {
    await init(agent, { hyperloopIP: "10.0.0.1" });

    expect(await envs(agent)).toMatchObject({ WRENN_EVENTS_ADDRESS: "http://10.0.0.1" });
    await expect
      .poll(() => readFileSync(agent.config.hostsFile, "utf8"))
      .toContain("events.wrenn.local");
    await expect
      .poll(() => statSync(join(agent.config.runDir, ".WRENN_SANDBOX")).isFile())
      .toBe(true);
  });
});

describe("with volumes", () => {
  test("a volume is mounted before the answer, once for each life", async ({ agent }) => {
    using programs = new FakePrograms();
    programs.add("mount");
    programs.add("findmnt", "exit 1");
    const path = join(agent.directory, "volume");
    const body = { lifecycleID: "one", volumeMounts: [{ nfs_target: "10.0.0.1:/v", path }] };

    expect((await init(agent, body)).status).toBe(204);
    expect((await init(agent, body)).status).toBe(204);
    expect((await init(agent, { ...body, lifecycleID: "two" })).status).toBe(204);

    expect(programs.calls().filter((call) => call.startsWith("mount"))).toHaveLength(2);
    expect(statSync(path).isDirectory()).toBe(true);
  });

  test("a volume that cannot be mounted is a 400 with the reason", async ({ agent }) => {
    using programs = new FakePrograms();
    programs.add("mount", "echo no such export >&2; exit 32");
    programs.add("findmnt", "exit 1");
    const path = join(agent.directory, "volume");

    const response = await init(agent, {
      volumeMounts: [{ nfs_target: "10.0.0.1:/v", path }],
    });

    expect(response.status).toBe(400);
    expect(await response.text()).toBe(`mounting volumes: mount "${path}": no such export\n`);
  });

  test("a mount goes on when its caller has left, and the next one does not wait", async ({
    agent,
  }) => {
    using programs = new FakePrograms();
    const gate = join(agent.directory, "gate");
    programs.add("mount", `while ! test -e ${gate}; do sleep 0.01; done; touch ${gate}.done`);
    programs.add("findmnt", "exit 1");
    const path = join(agent.directory, "volume");
    const body = JSON.stringify({ volumeMounts: [{ nfs_target: "10.0.0.1:/v", path }] });
    const leaving = new AbortController();
    const { signal } = leaving;
    const first = fetch(`${agent.url}/init`, { method: "POST", body, signal });
    await vi.waitFor(() => expect(programs.calls().at(-1)).toMatch(/^mount /));
    leaving.abort();
    await expect(first).rejects.toThrow();

    expect((await init(agent, body)).status).toBe(204);
    writeFileSync(gate, "");

    await expect
      .poll(() => statSync(`${gate}.done`, { throwIfNoEntry: false })?.isFile())
      .toBe(true);
  });
});
