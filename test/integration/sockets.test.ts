import { once } from "node:events";
import { readFileSync } from "node:fs";
import { connect as connectHttp2, constants } from "node:http2";
import { connect as connectSocket } from "node:net";
import { connect as connectTls } from "node:tls";
import { describe, expect, vi } from "vitest";
import { createLog } from "../../src/log.ts";
import { Server } from "../../src/net/server.ts";
import { type TestAgent, test } from "../helpers/agent.ts";
import { makeCertificate } from "../helpers/certificate.ts";
import { exchange, rawSocket } from "../helpers/raw-socket.ts";

test.override({ config: { sniffTimeoutMs: 300 } });

const healthy = async (agent: TestAgent) => (await fetch(`${agent.url}/health`)).status;
const allGone = (agent: TestAgent) =>
  vi.waitFor(() => expect(agent.connections()).toBeLessThanOrEqual(1), { timeout: 5_000 });

test.for([
  ["nothing", ""],
  ["half a preface", "PRI * HTTP/2.0\r\n\r\nSM"],
  ["a preface and nothing after it", "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"],
  ["a preface and half a frame", "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0"],
  ["unknown bytes", "\x80\x00\x01garbage"],
  ["a TLS hello without a certificate here", "\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03"],
  ["a preface and garbage after it", `PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n${"x".repeat(200)}`],
  ["a request line that is none", "GET\x00\x01\r\n\r\n"],
] as const)(
  "a connection that says %s is closed after a bounded time",
  async ([, bytes], { agent }) => {
    await exchange(agent.port, Buffer.from(bytes, "latin1"));

    expect(await healthy(agent)).toBe(204);
    await allGone(agent);
  },
);

describe("with a certificate", () => {
  test.override({ config: { sniffTimeoutMs: 300, tls: makeCertificate() } });

  test.for([
    ["nothing", ""],
    ["half a preface", "PRI * HTTP/2.0\r\n"],
    ["HTTP/1.1", "GET /health HTTP/1.1\r\nHost: x\r\n\r\n"],
  ] as const)(
    "a connection that agrees on HTTP/2 and says %s is closed after a bounded time",
    async ([, text], { agent }) => {
      const { port } = agent;
      const options = { port, host: "127.0.0.1", rejectUnauthorized: false, ALPNProtocols: ["h2"] };
      const socket = connectTls(options);
      socket.on("error", () => {}).resume();
      await once(socket, "secureConnect");
      expect(agent.connections()).toBe(1);

      socket.write(text);

      await vi.waitFor(() => expect(agent.connections()).toBe(0), 5_000);
      socket.destroy();
    },
  );

  test("what is no TLS behind the first byte of TLS is closed", async ({ agent }) => {
    await exchange(agent.port, "\x16garbage that is no hello");

    await vi.waitFor(() => expect(agent.connections()).toBe(0), 5_000);
  });
});

test("an HTTP/2 connection on which nothing is asked for long is closed, and no other", async () => {
  const server = new Server({
    host: "127.0.0.1",
    port: 0,
    idleTimeoutMs: 300,
    log: createLog("silent"),
    onRequest: (_request, response) => response.writeHead(200),
  });
  const url = `http://127.0.0.1:${await server.listen()}`;
  const busy = connectHttp2(url);
  let isBusyRetired = false;
  busy.once("goaway", () => {
    isBusyRetired = true;
  });
  const call = busy.request();
  await once(call, "response");

  const idle = connectHttp2(url);
  await Promise.all([once(idle, "goaway"), once(idle, "close")]);
  expect(isBusyRetired).toBe(false);

  call.close(constants.NGHTTP2_CANCEL);
  await once(busy, "close");
  expect(isBusyRetired).toBe(true);
  await server.close(0);
});

test("the kernel asks a silent peer whether it is still there", async ({ agent }) => {
  const raw = await rawSocket(agent.port);
  await vi.waitFor(() => expect(agent.connections()).toBe(1));
  const port = agent.port.toString(16).toUpperCase().padStart(4, "0");

  const rows = readFileSync("/proc/net/tcp", "utf8").split("\n");
  const accepted = rows.filter((row) => row.includes(`: 0100007F:${port} `) && / 01 /.test(row));

  expect(accepted.map((row) => row.trim().split(/\s+/)[5]?.slice(0, 2))).toEqual(["02"]);
  raw.socket.destroy();
});

test("a preface that comes byte by byte is understood", async ({ agent }) => {
  const raw = await rawSocket(agent.port);
  raw.socket.setNoDelay();
  for (const byte of Buffer.from(
    "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0",
    "latin1",
  )) {
    raw.socket.write(Buffer.of(byte));
  }

  await vi.waitFor(() => expect(raw.received().length).toBeGreaterThanOrEqual(9));
  expect(raw.received().charCodeAt(3), "a SETTINGS frame").toBe(4);
  raw.socket.destroy();
});

test.for([
  ["a host with a space", "GET /health HTTP/1.1\r\nHost: a b\r\nConnection: close\r\n\r\n"],
  [
    "a host with a bad port",
    "POST /process.Process/List HTTP/1.1\r\nHost: a:99999\r\nContent-Type: application/json\r\nContent-Length: 2\r\nConnection: close\r\n\r\n{}",
  ],
  [
    "an empty host",
    "POST /process.Process/List HTTP/1.1\r\nHost:\r\nContent-Type: application/json\r\nContent-Length: 2\r\nConnection: close\r\n\r\n{}",
  ],
  [
    "HTTP/1.0 without a host",
    "POST /process.Process/List HTTP/1.0\r\nContent-Type: application/json\r\nContent-Length: 2\r\n\r\n{}",
  ],
  [
    "an absolute target",
    "GET http://else.where/health HTTP/1.1\r\nHost: else.where\r\nConnection: close\r\n\r\n",
  ],
  ["a target that is no path", "GET * HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"],
  [
    "a query that is no query",
    "GET /health?%%%=%ff&&= HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n",
  ],
  [
    "two lengths",
    "POST /files HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\nContent-Length: 3\r\n\r\n{}",
  ],
  ["a header of 100 KiB", `GET /health HTTP/1.1\r\nHost: x\r\nX: ${"x".repeat(100_000)}\r\n\r\n`],
] as const)("a request with %s is answered, and survived", async ([, request], { agent }) => {
  expect(await exchange(agent.port, request)).toMatch(/^HTTP\/1\.[01] \d\d\d /);

  expect(await healthy(agent)).toBe(204);
});

test.for([
  ["a header that is none", "GET /health HTTP/1.1\r\nHost x\r\n\r\n", "400 Bad Request"],
  [
    "a header block of 100 KiB",
    `GET /health HTTP/1.1\r\nHost: x\r\nX: ${"x".repeat(100_000)}\r\n\r\n`,
    "431 Request Header Fields Too Large",
  ],
  [
    "an expectation that nobody knows",
    "POST /init HTTP/1.1\r\nHost: x\r\nExpect: more\r\nContent-Length: 5\r\n\r\n",
    "417 Expectation Failed",
  ],
  ["half a header block", "GET /health HTTP/1.1\r\nHost: x\r\n", "408 Request Timeout"],
] as const)(
  "a request with %s is told so, and its connection closed whatever the client does",
  async ([, request, status], { agent }) => {
    const socket = connectSocket({ port: agent.port, host: "127.0.0.1", allowHalfOpen: true });
    let answer = "";
    socket
      .on("error", () => {})
      .on("data", (bytes) => {
        answer += bytes.toString();
      });
    socket.write(request);

    await vi.waitFor(() => expect(answer).toContain(`HTTP/1.1 ${status}\r\n`), 15_000);
    await vi.waitFor(() => expect(agent.connections()).toBe(0), 5_000);
    socket.destroy();
  },
);

test("garbage behind a running stream ends the connection and adds nothing to the stream", async ({
  agent,
}) => {
  const message = '{"process":{"cmd":"sleep","args":["100"]}}';
  const raw = await rawSocket(agent.port);
  raw.socket.write(
    `POST /process.Process/Start HTTP/1.1\r\nHost: x\r\nContent-Type: application/connect+json\r\nContent-Length: ${message.length + 5}\r\n\r\n\0\0\0\0${String.fromCharCode(message.length)}${message}`,
  );
  await vi.waitFor(() => expect(raw.received()).toContain('"start"'));

  raw.socket.write("\0garbage\r\n\r\n");

  expect((await raw.closed).match(/HTTP\/1\.1/g)).toHaveLength(1);
  const { processes } = await agent.process().list({});
  for (const { pid } of processes) process.kill(pid, "SIGKILL");
});

test("an absolute target leads to calls and streams as a path does", async ({ agent }) => {
  const message = '{"process":{"cmd":"true"}}';
  const bodies = {
    "List HTTP/1.1\r\nContent-Type: application/json": "{}",
    "Start HTTP/1.1\r\nContent-Type: application/connect+json": `\0\0\0\0${String.fromCharCode(message.length)}${message}`,
  };
  for (const [head, body] of Object.entries(bodies)) {
    const answer = await exchange(
      agent.port,
      `POST http://else.where/process.Process/${head}\r\nHost: else.where\r\nContent-Length: ${body.length}\r\nConnection: close\r\n\r\n${body}`,
    );
    expect(answer).toContain("HTTP/1.1 200 OK");
  }
});

test("a bad authority over HTTP/2 is answered, and survived", async ({ agent }) => {
  const session = connectHttp2(agent.url);
  session.on("error", () => {});
  for (const authority of ["x:99999", "a b", ""]) {
    const stream = session.request({
      [constants.HTTP2_HEADER_METHOD]: "POST",
      [constants.HTTP2_HEADER_PATH]: "/process.Process/List",
      [constants.HTTP2_HEADER_AUTHORITY]: authority,
      "content-type": "application/json",
    });
    stream.on("error", () => {});
    stream.resume().end("{}");
    await new Promise((resolve) => stream.once("close", resolve));
  }
  session.destroy();

  expect(await healthy(agent)).toBe(204);
});

test("a frame that claims 4 GiB is refused, and no memory is set aside for it", async ({
  agent,
}) => {
  const claim = Buffer.from([0, 0xff, 0xff, 0xff, 0xff]).toString("latin1");
  for (const method of ["Start", "StreamInput"]) {
    const head = `POST /process.Process/${method} HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Type: application/connect+proto\r\nContent-Length: 5\r\n\r\n`;
    const answer = await exchange(agent.port, Buffer.from(head + claim, "latin1"));
    expect(answer).toMatch(/resource_exhausted|invalid_argument/);
  }
});

test.for([
  ["an empty body", ""],
  ["half a frame head", "\0\0\0"],
  ["less than its frame announces", "\0\0\0\0\x09abc"],
  ["more than its frame announces", "\0\0\0\0\x01abc"],
  ["a frame that is no message", "\0\0\0\0\x03\xff\xff\xff"],
  ["a compressed frame without a codec", "\x01\0\0\0\x01a"],
] as const)("a Start with %s ends with invalid_argument", async ([, body], { agent }) => {
  const head = `POST /process.Process/Start HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Type: application/connect+proto\r\nContent-Length: ${body.length}\r\n\r\n`;

  const answer = await exchange(agent.port, Buffer.from(head + body, "latin1"));

  expect(answer).toContain("HTTP/1.1 200 OK");
  expect(answer).toContain('"code":"invalid_argument"');
});

test("requests that are cut at every byte leave nothing behind", async ({ agent }) => {
  const message = '{"process":{"cmd":"true"},"stdin":false}';
  const request = Buffer.concat([
    Buffer.from(
      `POST /process.Process/Start HTTP/1.1\r\nHost: x\r\nContent-Type: application/connect+json\r\nContent-Length: ${message.length + 5}\r\n\r\n`,
    ),
    Buffer.from([0, 0, 0, 0, message.length]),
    Buffer.from(message),
  ]);

  for (let length = 0; length <= request.length; length += 7) {
    const raw = await rawSocket(agent.port);
    raw.socket.write(request.subarray(0, length), () => raw.socket.resetAndDestroy());
    await raw.closed;
  }

  await allGone(agent);
  await vi.waitFor(async () => expect((await agent.process().list({})).processes).toEqual([]));
});
