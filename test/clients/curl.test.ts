import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect } from "vitest";
import { startTestAgent, test } from "../helpers/agent.ts";
import { makeCertificate } from "../helpers/certificate.ts";
import { curl } from "../helpers/curl.ts";
import { runProgram } from "../helpers/run-program.ts";

/** How curl is told which HTTP to speak, and what it then speaks in clear text. */
const VERSIONS = [
  ["--http1.1", "1.1"],
  ["--http2-prior-knowledge", "2"],
  // The upgrade that curl offers is not taken: the request is served as it came.
  ["--http2", "1.1"],
] as const;

const JSON_TYPE = ["--header", "Content-Type: application/json"];
const EMPTY_CALL = [...JSON_TYPE, "--data", "{}"];

describe.for(VERSIONS)("curl %s", ([flag, version]) => {
  test("is served", async ({ agent }) => {
    const health = await curl([flag, `${agent.url}/health`]);

    expect(health).toMatchObject({ code: 0, status: 204, version, stdout: "" });
    expect(health.headers["cache-control"]).toBe("no-store");
  });

  test("calls a method with plain JSON", async ({ agent }) => {
    const path = join(agent.directory, "hosts");

    const called = await curl([
      flag,
      ...JSON_TYPE,
      "--data",
      JSON.stringify({ path }),
      `${agent.url}/filesystem.Filesystem/Stat`,
    ]);

    expect(called).toMatchObject({ code: 0, status: 200, version });
    expect(called.headers["content-type"]).toBe("application/json");
    expect(JSON.parse(called.stdout)).toMatchObject({ entry: { path, type: "FILE_TYPE_FILE" } });
  });

  test("reads the error of a method as JSON", async ({ agent }) => {
    const called = await curl([
      flag,
      ...JSON_TYPE,
      "--data",
      '{"path":"/no/such/file"}',
      `${agent.url}/filesystem.Filesystem/Stat`,
    ]);

    expect(called).toMatchObject({ status: 404 });
    expect(called.headers["content-type"]).toBe("application/json");
    expect(JSON.parse(called.stdout)).toMatchObject({ code: "not_found" });
  });

  test("that sends broken JSON is told so", async ({ agent }) => {
    const url = `${agent.url}/process.Process/List`;

    const broken = await curl([flag, ...JSON_TYPE, "--data", "{nonsense", url]);
    const empty = await curl([flag, ...JSON_TYPE, "--data", "", url]);

    expect(broken.status).toBe(400);
    expect(JSON.parse(broken.stdout)).toMatchObject({ code: "invalid_argument" });
    expect(empty.status).toBe(400);
  });

  test("that sends another media type learns which are taken", async ({ agent }) => {
    const flags = [flag, "--header", "Content-Type: text/plain", "--data", "{}"];

    const unary = await curl([...flags, `${agent.url}/process.Process/List`]);
    const stream = await curl([...flags, `${agent.url}/process.Process/Start`]);

    expect([unary.status, stream.status]).toEqual([415, 415]);
    expect(unary.headers["accept-post"]?.split(", ")).toEqual(
      expect.arrayContaining(["application/json", "application/proto", "application/grpc"]),
    );
    expect(stream.headers["accept-post"]?.split(", ")).toEqual(
      expect.arrayContaining(["application/connect+json", "application/grpc-web+proto"]),
    );
  });

  test("may add parameters to the media type", async ({ agent }) => {
    const type = 'Content-Type: Application/JSON ; charset="UTF-8"; x=y';

    const called = await curl([
      flag,
      "--header",
      type,
      "--data",
      "{}",
      `${agent.url}/process.Process/List`,
    ]);

    expect(called).toMatchObject({ status: 200, stdout: "{}" });
  });

  test("that uses the wrong method learns the right one", async ({ agent }) => {
    const method = await curl([flag, `${agent.url}/process.Process/List`]);
    const stream = await curl([flag, `${agent.url}/process.Process/Start`]);
    const files = await curl([flag, "--request", "PUT", `${agent.url}/files`]);
    const head = await curl([flag, "--head", `${agent.url}/files`]);

    expect([method.status, stream.status, files.status, head.status]).toEqual([405, 405, 405, 405]);
    expect(method.headers["allow"]).toBe("POST");
    expect(stream.headers["allow"]).toBe("POST");
    expect(files.headers["allow"]).toBe("GET, POST");
    expect(head.headers["allow"]).toBe("GET, POST");
  });

  test.for([
    "/nothing",
    "/health/",
    "/process.Process/Nothing",
    "/process.Process",
    "/files/../health",
    "//health",
  ])("finds nothing at %s", async (path, { agent }) => {
    const answer = await curl([flag, "--path-as-is", `${agent.url}${path}`]);

    expect(answer).toMatchObject({ status: 404, stdout: "404 page not found\n" });
    expect(answer.headers["content-type"]).toMatch(/^text\/plain/);
  });

  test("asks before it crosses origins, as a browser does", async ({ agent }) => {
    const origin = ["--header", "Origin: https://example.com"];
    const method = ["--header", "Access-Control-Request-Method: POST"];
    const names = ["--header", "Access-Control-Request-Headers: x-access-token, content-type"];
    const asking = ["--request", "OPTIONS", ...method, ...names];

    const preflight = await curl([
      flag,
      ...origin,
      ...asking,
      `${agent.url}/process.Process/Start`,
    ]);
    const actual = await curl([
      flag,
      ...origin,
      ...EMPTY_CALL,
      `${agent.url}/process.Process/List`,
    ]);

    expect(preflight).toMatchObject({ status: 204, stdout: "" });
    expect(preflight.headers).toMatchObject({
      "access-control-allow-origin": "*",
      "access-control-allow-headers": "x-access-token, content-type",
      "access-control-max-age": "7200",
    });
    expect(preflight.headers["access-control-allow-methods"]).toContain("POST");
    expect(actual.status).toBe(200);
    expect(actual.headers["access-control-allow-origin"]).toBe("*");
    expect(actual.headers["access-control-expose-headers"]).toContain("Grpc-Status");
  });

  test("takes a compressed answer when it offers to, and only then", async ({ agent }) => {
    for (let index = 0; index < 100; index++) {
      writeFileSync(join(agent.directory, `a rather long file name, number ${index}`), "");
    }
    const call = [
      flag,
      ...JSON_TYPE,
      "--data",
      JSON.stringify({ path: agent.directory }),
      `${agent.url}/filesystem.Filesystem/ListDir`,
    ];

    const plain = await curl(call);
    const compressed = await curl([...call, "--header", "Accept-Encoding: gzip", "--compressed"]);
    const brotli = await curl([...call, "--header", "Accept-Encoding: br"]);

    expect(plain.headers["content-encoding"]).toBeUndefined();
    expect(JSON.parse(compressed.stdout)).toEqual(JSON.parse(plain.stdout));
    expect(brotli.headers["content-encoding"]).toBeUndefined();
  });
});

test("curl makes several requests over one connection", async ({ agent }) => {
  const url = `${agent.url}/health`;
  const format = "%{http_code} %{num_connects}\n";

  const { stdout } = await runProgram("curl", ["-s", "-w", format, url, url, url]);

  expect(stdout).toBe("204 1\n204 0\n204 0\n");
});

describe("curl over TLS", () => {
  test.for([
    ["--http1.1", "1.1"],
    ["--http2", "2"],
    ["--no-alpn", "1.1"],
  ] as const)("agrees with %s on HTTP/%s", async ([flag, version]) => {
    const tls = makeCertificate();
    await using agent = await startTestAgent({ tls });
    const certificate = join(agent.directory, "certificate.pem");
    writeFileSync(certificate, tls.cert);
    const trusting = [flag, "--cacert", certificate];

    const health = await curl([...trusting, `${agent.url}/health`]);
    const called = await curl([...trusting, ...EMPTY_CALL, `${agent.url}/process.Process/List`]);
    const distrusting = await curl([flag, `${agent.url}/health`]);

    expect(agent.url).toMatch(/^https:/);
    expect(health).toMatchObject({ status: 204, version });
    expect(called).toMatchObject({ status: 200, version, stdout: "{}" });
    expect(distrusting.code).toBe(60);
  });

  test("finds clear text on the same port", async () => {
    await using agent = await startTestAgent({ tls: makeCertificate() });

    const health = await curl([`http://127.0.0.1:${agent.port}/health`]);

    expect(health).toMatchObject({ status: 204, version: "1.1" });
  });
});

describe("an agent with a token", () => {
  test.override({ config: { accessToken: "secret" } });

  test("shows its health to everybody, and anything else to whoever has it", async ({ agent }) => {
    const list = [...EMPTY_CALL, `${agent.url}/process.Process/List`];

    const health = await curl([`${agent.url}/health`]);
    const without = await curl(list);
    const wrong = await curl(["--header", "X-Access-Token: guess", ...list]);
    const right = await curl(["--header", "X-Access-Token: secret", ...list]);

    expect(health.status).toBe(204);
    expect([without.status, wrong.status]).toEqual([401, 401]);
    expect(without.headers["content-type"]).toBe("application/json; charset=utf-8");
    expect(JSON.parse(without.stdout)).toMatchObject({ code: 401 });
    expect(right).toMatchObject({ status: 200, stdout: "{}" });
  });
});
