import { execFile } from "node:child_process";
import { once } from "node:events";
import { mkdirSync, writeFileSync } from "node:fs";
import { connect as connectHttp2 } from "node:http2";
import { connect } from "node:net";
import { promisify } from "node:util";
import { describe, expect, vi } from "vitest";
import { sign } from "../../src/init/signature.ts";
import { startTestAgent, test } from "../helpers/agent.ts";
import { ask, filesPath, httpVersions } from "../helpers/requests.ts";

const run = promisify(execFile);
const RAW = { "content-type": "application/octet-stream" };
const LARGE = 200 * 1024 * 1024;

describe("a client that sends a large body to a path that is refused can read why", () => {
  test.for([
    ["--http1.1"],
    ["--http1.1", "-H", "Transfer-Encoding: chunked"],
    ["--http1.1", "-H", "Expect:"],
    ["--http2-prior-knowledge"],
  ])("curl %j", async (flags, { agent }) => {
    const file = `${agent.directory}/large`;
    writeFileSync(file, Buffer.alloc(LARGE));
    mkdirSync(`${agent.directory}/d`);
    const url = agent.url + filesPath({ path: `${agent.directory}/d` });

    const { stdout } = await run("curl", [
      "-s",
      ...flags,
      "-H",
      "Content-Type: application/octet-stream",
      "-T",
      file,
      "-X",
      "POST",
      "-w",
      "%{http_code}",
      url,
    ]).catch((failure: { stdout: string }) => failure);

    expect(stdout).toContain(`path is a directory: ${agent.directory}/d`);
    expect(stdout.endsWith("400")).toBe(true);
  });

  test("fetch", async ({ agent }) => {
    mkdirSync(`${agent.directory}/d`);
    const url = agent.url + filesPath({ path: `${agent.directory}/d` });

    const answer = await fetch(url, {
      method: "POST",
      headers: RAW,
      body: Buffer.alloc(20_000_000),
    });

    expect(answer.status).toBe(400);
    expect(await answer.json()).toMatchObject({ code: 400 });
  });
});

test("a refused upload that never ends is closed, and its connection with it", async ({
  agent,
}) => {
  const socket = connect(agent.port, "127.0.0.1");
  socket.on("error", () => {});
  socket.write(
    "POST /files HTTP/1.1\r\nHost: x\r\nContent-Type: text/plain\r\nContent-Length: 1000000000000\r\n\r\n",
  );
  const chunk = Buffer.alloc(1024 * 1024);
  const send = (error?: Error | null) => {
    if (error === undefined || error === null) socket.write(chunk, send);
  };
  send();

  const [answer] = (await once(socket, "data")) as [Buffer];
  expect(answer.toString()).toMatch(/^HTTP\/1\.1 400 /);
  expect(answer.toString()).toMatch(/connection: close/i);
  await vi.waitFor(() => expect(socket.closed).toBe(true), { timeout: 10_000 });
});

test("an HTTP/2 upload that is refused does not close its siblings", async ({ agent }) => {
  const session = connectHttp2(agent.url);
  const upload = session.request({
    ":method": "POST",
    ":path": "/files",
    "content-type": "text/plain",
  });
  upload.on("error", () => {});
  const chunk = Buffer.alloc(256 * 1024);
  const send = (error?: Error | null) => {
    if (error === undefined || error === null) upload.write(chunk, send);
  };
  send();

  const [headers] = (await once(upload, "response")) as [Record<string, unknown>];
  expect(headers[":status"]).toBe(400);
  upload.resume();
  await once(upload, "close");
  const health = session.request({ ":path": "/health" });
  const [healthy] = (await once(health, "response")) as [Record<string, unknown>];
  expect(healthy[":status"]).toBe(204);
  session.destroy();
});

test("a connection whose upload was refused after it was complete stays open", async ({
  agent,
}) => {
  const socket = connect(agent.port, "127.0.0.1");
  const request =
    "POST /files HTTP/1.1\r\nHost: x\r\nContent-Type: text/plain\r\nContent-Length: 1\r\n\r\nx";
  let text = "";
  socket.on("data", (chunk: Buffer) => {
    text += chunk.toString();
  });

  socket.write(request);
  await vi.waitFor(() => expect(text.match(/HTTP\/1\.1 400 /g)).toHaveLength(1));
  if (/connection: close/i.test(text)) {
    await once(socket, "close");
    return;
  }
  socket.write(request);
  await vi.waitFor(() => expect(text.match(/HTTP\/1\.1 400 /g)).toHaveLength(2));
  socket.destroy();
});

describe.for(httpVersions)("with a token set, over %s", (version) => {
  test.for([
    [{}, {}, 401, "missing signature query parameter"],
    [{ "x-access-token": "no" }, {}, 401, "access token present in header but does not match"],
    [{}, { signature: "v1_x" }, 401, "invalid signature"],
    [{ "x-access-token": "secret" }, {}, 200, undefined],
  ] as const)("%o and %o is a %d", async ([headers, query, status, message]) => {
    await using agent = await startTestAgent({ accessToken: "secret" });
    const file = `${agent.directory}/f`;
    writeFileSync(file, "x");
    const path = filesPath({ path: file, ...query });

    const read = await ask(version, agent.url, { path, headers });
    const written = await ask(version, agent.url, {
      method: "POST",
      path,
      headers: { ...headers, ...RAW },
      body: "y",
    });

    for (const answer of [read, written]) {
      expect(answer.status).toBe(status);
      if (message !== undefined) expect(JSON.parse(answer.text)).toEqual({ code: 401, message });
    }
  });

  test("a signed address reads or writes what it was made for, and nothing else", async () => {
    await using agent = await startTestAgent({ accessToken: "secret" });
    const path = `${agent.directory}/f`;
    writeFileSync(path, "x");
    const signed = (operation: "read" | "write", expiration?: bigint) => ({
      path,
      signature: sign({ path, operation, username: "", expiration }, "secret"),
      ...(expiration === undefined ? {} : { signature_expiration: String(expiration) }),
    });
    const statusOf = async (method: "GET" | "POST", query: Record<string, string>) =>
      (
        await ask(version, agent.url, {
          method,
          path: filesPath(query),
          ...(method === "POST" ? { headers: RAW, body: "y" } : {}),
        })
      ).status;

    expect(await statusOf("GET", signed("read"))).toBe(200);
    expect(await statusOf("POST", signed("write"))).toBe(200);
    expect(await statusOf("GET", signed("write"))).toBe(401);
    expect(await statusOf("POST", signed("read"))).toBe(401);
    expect(await statusOf("GET", { ...signed("read"), path: "/etc/passwd" })).toBe(401);
    expect(await statusOf("GET", signed("read", 1n))).toBe(401);
    expect(await statusOf("GET", signed("read", 9_999_999_999n))).toBe(200);
  });
});
