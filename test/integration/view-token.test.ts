import { createHash } from "node:crypto";
import { type Client, Code, createClient, type Interceptor } from "@connectrpc/connect";
import {
  createConnectTransport,
  createGrpcTransport,
  Http2SessionManager,
} from "@connectrpc/connect-node";
import { expect, vi } from "vitest";
import { Filesystem } from "../../gen/filesystem/filesystem_pb.js";
import { Process, Signal } from "../../gen/process/process_pb.js";
import { startTestAgent, type TestAgent, test } from "../helpers/agent.ts";
import { init } from "../helpers/init-client.ts";
import { MetadataServer } from "../helpers/metadata-server.ts";
import { type Followed, follow, running, shell, text } from "../helpers/process.ts";

const TOKEN = "a-token-of-the-test";
const IN_TIME = { timeout: 15_000, interval: 20 };

test.override({ config: { accessToken: TOKEN } });

const sending =
  (token: string): Interceptor =>
  (next) =>
  (request) => {
    request.header.set("X-Access-Token", token);
    return next(request);
  };

/** A client that sends `token` with every call. */
function clientWith(agent: TestAgent, token: string): Client<typeof Process> {
  const interceptors = [sending(token)];
  const options = { baseUrl: agent.url, httpVersion: "1.1" as const, interceptors };
  return createClient(
    Process,
    createConnectTransport({ ...options, nodeOptions: { agent: false } }),
  );
}

/** A process, and a token that shows it. */
async function shown(
  agent: TestAgent,
): Promise<{ owner: Client<typeof Process>; run: Followed; token: string }> {
  const owner = clientWith(agent, TOKEN);
  const run = await running(owner, { ...shell("echo on; read go; echo off"), tag: "t" });
  const { token } = await owner.createViewToken({ process: run.selector });
  return { owner, run, token };
}

async function end(owner: Client<typeof Process>, run: Followed): Promise<void> {
  await owner.sendSignal({ process: run.selector, signal: Signal.SIGKILL });
  await run.rest();
}

const refused = { code: Code.Unauthenticated };

test("a view token shows its process, with a window, and after its end", async ({ agent }) => {
  const { owner, run, token } = await shown(agent);
  const viewer = clientWith(agent, token);
  const { selector: process } = run;

  const view = await follow(viewer.connect({ process, fromOffset: {}, windowBytes: 1 }));
  const viewerId = view.events[0]?.case === "start" ? view.events[0].value.viewerId : 0n;
  await view.until((events) => text(events, "stdout") === "on\n");
  await viewer.acknowledgeOutput({ process, viewerId, offsets: { stdout: 3n } });
  const stdin = { input: { case: "stdin", value: Buffer.from("go\n") } } as const;
  await owner.sendInput({ process, input: stdin });
  await run.rest();

  expect(text(await view.rest(), "stdout")).toBe("on\noff\n");
  const late = await follow(viewer.connect({ process, fromOffset: {} }));
  expect(text(await late.rest(), "stdout")).toBe("on\noff\n");
});

test("a view token opens nothing else", async ({ agent }) => {
  const { owner, run, token } = await shown(agent);
  const other = await running(owner, shell("read go"));
  const viewer = clientWith(agent, token);
  const { selector: process } = run;
  const stdin = { input: { case: "stdin", value: Buffer.from("go\n") } } as const;
  const tag = { selector: { case: "tag", value: "t" } } as const;

  const attempts: Record<string, () => Promise<unknown>> = {
    list: () => viewer.list({}),
    start: () => running(viewer, shell("true")),
    "send input": () => viewer.sendInput({ process, input: stdin }),
    "close stdin": () => viewer.closeStdin({ process }),
    signal: () => viewer.sendSignal({ process, signal: Signal.SIGKILL }),
    update: () => viewer.update({ process, pty: {} }),
    "make a token": () => viewer.createViewToken({ process }),
    "connect to another": () => follow(viewer.connect({ process: other.selector })),
    "connect by a tag": () => follow(viewer.connect({ process: tag })),
    "acknowledge another": () =>
      viewer.acknowledgeOutput({ process: other.selector, viewerId: 1n, offsets: {} }),
  };
  for (const [what, attempt] of Object.entries(attempts)) {
    await expect(attempt(), what).rejects.toMatchObject(refused);
  }
  // Of a process that waits for acknowledgements, this would be the owner's to say.
  await expect(
    viewer.acknowledgeOutput({ process, offsets: { stdout: 3n } }),
  ).rejects.toMatchObject({ code: Code.NotFound });

  await Promise.all([end(owner, run), end(owner, other)]);
});

test("a view token opens no path of HTTP and no other service", async ({ agent }) => {
  const { owner, run, token } = await shown(agent);
  const headers = { "X-Access-Token": token, "Content-Type": "application/json" };
  const ask = async (method: string, path: string) => {
    const body = method === "POST" ? { body: "{}" } : {};
    const response = await fetch(agent.url + path, { method, headers, ...body });
    await response.arrayBuffer();
    return response.status;
  };

  for (const request of [
    "GET /files?path=/etc/passwd",
    "POST /files?path=/tmp/x",
    "GET /envs",
    "GET /metrics",
    "GET /process.Process/Connect",
    "POST /process.Process/Connect/",
    "POST /process.Process/Start",
    "POST /filesystem.Filesystem/ListDir",
    "POST /snapshot.Snapshot/Prepare",
    "POST /grpc.reflection.v1.ServerReflection/ServerReflectionInfo",
  ]) {
    const [method, path] = request.split(" ") as [string, string];
    expect(await ask(method, path), request).toBe(401);
  }
  await end(owner, run);
});

test("a view token holds over gRPC as well", async ({ agent }) => {
  const { owner, run, token } = await shown(agent);
  const sessionManager = new Http2SessionManager(agent.url);
  const interceptors = [sending(token)];
  const transport = createGrpcTransport({ baseUrl: agent.url, sessionManager, interceptors });
  const viewer = createClient(Process, transport);
  const other = await running(owner, shell("read go"));

  const view = await follow(viewer.connect({ process: run.selector, fromOffset: {} }));
  await view.until((events) => text(events, "stdout") === "on\n");
  await expect(follow(viewer.connect({ process: other.selector }))).rejects.toMatchObject(refused);
  await expect(viewer.list({})).rejects.toThrow();
  await expect(createClient(Filesystem, transport).listDir({ path: "/" })).rejects.toThrow();

  await Promise.all([end(owner, run), end(owner, other)]);
  await view.rest();
  sessionManager.abort();
});

test("a view token goes with its process", async ({ agent }) => {
  vi.useFakeTimers({
    toFake: ["setTimeout", "clearTimeout", "performance"],
    shouldAdvanceTime: true,
  });
  try {
    const { owner, run, token } = await shown(agent);
    const viewer = clientWith(agent, token);
    await end(owner, run);
    await (await follow(viewer.connect({ process: run.selector }))).rest();

    await vi.advanceTimersByTimeAsync(31_000);

    const late = follow(viewer.connect({ process: run.selector }));
    await expect(late).rejects.toMatchObject(refused);
  } finally {
    vi.useRealTimers();
  }
});

test("a view token goes with the access token, and does not come back with it", async () => {
  await using service = await MetadataServer.start();
  const config = { accessToken: TOKEN, isNotFc: false, metadataUrl: service.url };
  await using agent = await startTestAgent(config);
  const { owner, run, token } = await shown(agent);
  const viewer = clientWith(agent, token);
  const watch = async () => {
    const leave = new AbortController();
    await follow(viewer.connect({ process: run.selector }, { signal: leave.signal }));
    leave.abort();
  };
  const replaceToken = async (accessToken: string) => {
    const accessTokenHash = createHash("sha512").update(accessToken).digest("hex");
    service.data = { instanceID: "i", envID: "e", address: "", accessTokenHash };
    expect((await init(agent, { accessToken })).status).toBe(204);
  };

  await replaceToken(TOKEN);
  await watch();
  await replaceToken("another-token");
  await expect(watch()).rejects.toMatchObject(refused);
  await replaceToken(TOKEN);
  await expect(watch()).rejects.toMatchObject(refused);

  await end(owner, run);
});

test("a process waits for nobody who may only watch", async ({ agent }) => {
  const owner = clientWith(agent, TOKEN);
  const leave = new AbortController();
  const run = await running(owner, shell("read go; head -c 64M /dev/zero; exit 7"), {
    signal: leave.signal,
  });
  const { selector: process } = run;
  const { token } = await owner.createViewToken({ process });
  // Never read on after its start.
  const view = await follow(clientWith(agent, token).connect({ process, windowBytes: 1 }));
  leave.abort();
  await run.rest().catch(() => {});

  const stdin = { input: { case: "stdin", value: Buffer.from("go\n") } } as const;
  await owner.sendInput({ process, input: stdin });

  await vi.waitFor(async () => expect((await owner.list({})).processes).toEqual([]), {
    ...IN_TIME,
    timeout: 5_000,
  });
  const viewerId = view.events[0]?.case === "start" ? view.events[0].value.viewerId : 0n;
  const offsets = { stdout: 64n * 1024n * 1024n };
  const acknowledge = () => owner.acknowledgeOutput({ process, viewerId, offsets });
  await acknowledge();
  expect((await view.rest()).at(-1)?.case).toBe("end");
});

test("no token is made where none is required", async () => {
  await using agent = await startTestAgent();
  const client = agent.process();
  const run = await running(client, shell("read go"));

  expect(await client.createViewToken({ process: run.selector })).toMatchObject({ token: "" });

  await end(client, run);
});
