import { Code, ConnectError } from "@connectrpc/connect";
import { describe, expect } from "vitest";
import { type TestAgent, test } from "../helpers/agent.ts";
import { basic, shell, start } from "../helpers/process.ts";
import { exchange } from "../helpers/raw-socket.ts";
import { ask, httpVersions } from "../helpers/requests.ts";

const TOKEN = "a-token-of-the-test";

const status = async (agent: TestAgent, request: string, headers: Record<string, string> = {}) => {
  const [method, path] = request.split(" ") as [string, string];
  const body = method === "POST" ? { body: "{}" } : {};
  const type = { "Content-Type": "application/json" };
  const response = await fetch(agent.url + path, {
    method,
    headers: { ...type, ...headers },
    ...body,
  });
  await response.arrayBuffer();
  return response.status;
};

const code = async (promise: Promise<unknown>) => {
  const reason = await promise.then(
    () => undefined,
    (reason: unknown) => reason,
  );
  expect(reason).toBeInstanceOf(ConnectError);
  return (reason as ConnectError).code;
};

describe("with a token", () => {
  test.override({ config: { accessToken: TOKEN } });

  test.for([
    "GET /envs",
    "GET /metrics",
    "POST /files/compose",
    "GET /files/",
    "POST /freeze",
    "POST /process.Process/List",
    "POST /grpc.reflection.v1.ServerReflection/ServerReflectionInfo",
    "GET /nowhere",
    "POST /health",
  ])("%s needs it", async (request, { agent }) => {
    expect(await status(agent, request)).toBe(401);
    expect(await status(agent, request, { "X-Access-Token": `${TOKEN}x` })).toBe(401);
    expect(await status(agent, request, { "X-Access-Token": "" })).toBe(401);
    expect(await status(agent, request, { "X-Access-Token": TOKEN })).not.toBe(401);
  });

  test("GET /health needs none", async ({ agent }) => {
    expect(await status(agent, "GET /health")).toBe(204);
  });

  test("a refusal has the contract's body and headers", async ({ agent }) => {
    const response = await fetch(`${agent.url}/envs`);

    expect(response.headers.get("content-type")).toBe("application/json; charset=utf-8");
    expect(response.headers.get("x-content-type-options")).toBe("nosniff");
    expect(await response.text()).toBe(
      '{"code":401,"message":"unauthorized access, please provide a valid access token or method signing if supported"}\n',
    );
  });

  test("a client without it is unauthenticated, in calls and streams", async ({ agent }) => {
    for (const transport of [
      "h1-json",
      "h1-proto",
      "h2-json",
      "h2-proto",
      "grpc",
      "grpc-web",
    ] as const) {
      expect(await code(agent.process(transport).list({}))).toBe(Code.Unauthenticated);
      expect(await code(start(agent.process(transport), shell("true")))).toBe(Code.Unauthenticated);
    }
  });

  test("a preflight needs none, and says what a page may do", async ({ agent }) => {
    const response = await fetch(`${agent.url}/process.Process/List`, {
      method: "OPTIONS",
      headers: {
        Origin: "https://a.page",
        "Access-Control-Request-Method": "POST",
        "Access-Control-Request-Headers": "x-access-token,connect-protocol-version",
      },
    });

    expect(response.status).toBe(204);
    expect(response.headers.get("access-control-allow-origin")).toBe("*");
    expect(response.headers.get("access-control-allow-headers")).toBe(
      "x-access-token,connect-protocol-version",
    );
    expect(response.headers.get("access-control-max-age")).toBe("7200");
  });
});

describe("the user of a request", () => {
  test("that does not exist is refused even where it is not needed", async ({ agent }) => {
    const headers = basic("no-such-user");
    for (const transport of ["h1-json", "h2-proto", "grpc"] as const) {
      const client = agent.process(transport);
      expect(await code(client.list({}, { headers }))).toBe(Code.Unauthenticated);
      expect(await code(start(client, shell("true"), { headers }))).toBe(Code.Unauthenticated);
    }
    const response = await fetch(`${agent.url}/process.Process/List`, {
      method: "POST",
      headers: { ...headers, "Content-Type": "application/json" },
      body: "{}",
    });
    expect(response.status).toBe(401);
    expect(await response.json()).toEqual({
      code: "unauthenticated",
      message: "invalid username: 'no-such-user'",
    });
  });

  test.for([
    "GET /health",
    "GET /envs",
    "GET /files?path=/etc/hostname&username=root",
    "POST /init",
    "GET /nowhere",
    "HEAD /health",
  ])("that does not exist is refused by %s too", async (request, { agent }) => {
    const [method, path] = request.split(" ") as [string, string];
    for (const version of httpVersions) {
      const answer = await ask(version, agent.url, {
        method,
        path,
        headers: basic("no-such-user"),
        ...(method === "POST" && { body: "{}" }),
      });

      expect(answer.status, version).toBe(401);
      if (method === "HEAD") continue;
      expect(answer.headers["content-type"]).toMatch(/^application\/json/);
      expect(JSON.parse(answer.text)).toEqual({
        code: "unauthenticated",
        message: "invalid username: 'no-such-user'",
      });
    }
  });

  test.for(["Basic", "Basic ???", "Basic bm9jb2xvbg==", "Bearer x", "basic"])(
    "is not read from %j",
    async (Authorization, { agent }) => {
      expect((await agent.process().list({}, { headers: { Authorization } })).processes).toEqual(
        [],
      );
    },
  );

  test("is not found by a number", async ({ agent }) => {
    expect(await code(agent.process().list({}, { headers: basic("0") }))).toBe(
      Code.Unauthenticated,
    );
  });
});

describe("an open agent on a shared machine", () => {
  test.override({ config: { persona: "thaw" } });

  const statusOf = async (agent: TestAgent, headers: string) => {
    const answer = await exchange(
      agent.port,
      `GET /health HTTP/1.1\r\n${headers}Connection: close\r\n\r\n`,
    );
    return Number(answer.split(" ")[1]);
  };

  test.for([
    ["Host: 127.0.0.1\r\n", 204],
    ["Host: 127.0.0.1:49983\r\n", 204],
    ["Host: localhost:1\r\n", 204],
    ["Host: [::1]:1\r\n", 204],
    ["Host: 127.8.9.10\r\n", 204],
    ["Host: evil.example\r\n", 403],
    ["Host: 127.0.0.1.evil.example\r\n", 403],
    ["Host: localhost.evil.example:80\r\n", 403],
    ["Host: 127.0.0.1\r\nOrigin: https://evil.example\r\n", 403],
    ["Host: 127.0.0.1\r\nOrigin: null\r\n", 403],
    ["Host: 127.0.0.1:49983\r\nOrigin: http://127.0.0.1:49983\r\n", 204],
    ["Host: LocalHost\r\nOrigin: http://localhost\r\n", 204],
    ["Host: [::1]:1\r\nOrigin: https://[::1]:1\r\n", 204],
    ["Host: 127.0.0.1:49983\r\nOrigin: http://127.0.0.1:3000\r\n", 403],
    ["Host: 127.0.0.1:49983\r\nOrigin: http://localhost:49983\r\n", 403],
    ["Host: 127.0.0.1:49983\r\nOrigin: http://127.0.0.1\r\n", 403],
  ] as const)("answers %j with %i", async ([headers, expected], { agent }) => {
    expect(await statusOf(agent, headers)).toBe(expected);
  });

  test("gives no page of another origin leave to read", async ({ agent }) => {
    const preflight = await fetch(`${agent.url}/process.Process/List`, {
      method: "OPTIONS",
      headers: { Origin: "https://evil.example", "Access-Control-Request-Method": "POST" },
    });
    const call = await fetch(`${agent.url}/health`, {
      headers: { Origin: "https://evil.example" },
    });

    expect(call.status).toBe(403);
    expect(preflight.status).toBe(403);
    expect(preflight.headers.get("access-control-allow-origin")).toBeNull();
  });
});

describe("an agent with a token on a shared machine", () => {
  test.override({ config: { persona: "thaw", accessToken: TOKEN } });

  test("answers any host and origin that brings the token", async ({ agent }) => {
    const headers = { Origin: "https://a.page", "X-Access-Token": TOKEN };
    const response = await fetch(`${agent.url}/envs`, { headers });

    expect(response.status).toBe(200);
    expect(response.headers.get("access-control-allow-origin")).toBe("*");
    const foreign = await exchange(
      agent.port,
      `GET /envs HTTP/1.1\r\nHost: a.name\r\nX-Access-Token: ${TOKEN}\r\nConnection: close\r\n\r\n`,
    );
    expect(foreign).toContain("200 OK");
  });

  test("lets a page of another origin ask whether it may bring the token", async ({ agent }) => {
    const preflight = await fetch(`${agent.url}/process.Process/List`, {
      method: "OPTIONS",
      headers: {
        Origin: "https://a.page",
        "Access-Control-Request-Method": "POST",
        "Access-Control-Request-Headers": "x-access-token",
      },
    });

    expect(preflight.status).toBe(204);
  });
});
