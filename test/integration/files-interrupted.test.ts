import { randomBytes } from "node:crypto";
import { existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { connect as connectHttp2 } from "node:http2";
import { connect } from "node:net";
import type { Duplex } from "node:stream";
import { gzipSync } from "node:zlib";
import { describe, expect, vi } from "vitest";
import { type TestAgent, test } from "../helpers/agent.ts";
import { filesPath, form } from "../helpers/requests.ts";
import { openFilesIn } from "../helpers/scratch.ts";

const MIB = 1024 * 1024;
/** Once a form's last boundary has come, its files are complete whatever happens then. */
const LAST_BOUNDARY_BYTES = 10;

/** How a body is sent: its headers, and its bytes for a file with this content. */
interface Way {
  headers: Record<string, string>;
  /** Whether the path goes into the query; a form has its own. */
  hasQuery: boolean;
  body(path: string, content: Buffer): Buffer;
}

const ways: [string, Way][] = [
  [
    "a raw body",
    {
      headers: { "content-type": "application/octet-stream" },
      hasQuery: true,
      body: (_path, content) => content,
    },
  ],
  [
    "a form",
    {
      headers: { "content-type": "multipart/form-data; boundary=XX" },
      hasQuery: false,
      body: (path, content) =>
        form("XX", [
          {
            head: `Content-Disposition: form-data; name="file"; filename="${path}"`,
            body: content,
          },
        ]),
    },
  ],
  [
    "a packed body",
    {
      headers: { "content-type": "application/octet-stream", "content-encoding": "gzip" },
      hasQuery: true,
      body: (_path, content) => gzipSync(content, { level: 1 }),
    },
  ],
];

/** Resolves when `stream` is closed, for whatever reason. */
function closed(stream: Duplex): Promise<void> {
  return new Promise((resolve) => {
    stream.once("close", resolve);
  });
}

/** Sends the head of an upload and the first `cut` bytes of its body, then breaks off. */
type BreakOff = (
  agent: TestAgent,
  request: { path: string; headers: Record<string, string>; body: Buffer; cut: number },
) => Promise<void>;

function overHttp1(isChunked: boolean, isReset: boolean): BreakOff {
  return async (agent, { path, headers, body, cut }) => {
    const length = isChunked ? "Transfer-Encoding: chunked" : `Content-Length: ${body.length}`;
    const lines = Object.entries(headers).map(([name, value]) => `${name}: ${value}\r\n`);
    const socket = connect(agent.port, "127.0.0.1");
    socket.on("error", () => {}).resume();
    socket.write(`POST ${path} HTTP/1.1\r\nHost: x\r\n${lines.join("")}${length}\r\n\r\n`);
    if (isChunked) socket.write(`${body.length.toString(16)}\r\n`);
    await new Promise((resolve) => {
      socket.write(body.subarray(0, cut), resolve);
    });
    if (isReset) socket.resetAndDestroy();
    else socket.end();
    await closed(socket);
  };
}

/** Without a length, an HTTP/2 client that ends properly too early cannot be told from a good one. */
function overHttp2(hasLength: boolean): BreakOff {
  return async (agent, { path, headers, body, cut }) => {
    const session = connectHttp2(agent.url);
    const length = hasLength ? { "content-length": String(body.length) } : {};
    const stream = session.request({ ":method": "POST", ":path": path, ...headers, ...length });
    stream.on("error", () => {}).resume();
    await new Promise((resolve) => {
      stream.write(body.subarray(0, cut), resolve);
    });
    if (hasLength) stream.close(8);
    else session.destroy();
    await closed(stream);
    session.destroy();
  };
}

const breaks: [string, BreakOff][] = [
  ["HTTP/1.1 with a length, reset", overHttp1(false, true)],
  ["HTTP/1.1 with a length, closed", overHttp1(false, false)],
  ["HTTP/1.1 in chunks, reset", overHttp1(true, true)],
  ["HTTP/1.1 in chunks, closed", overHttp1(true, false)],
  ["HTTP/2 with a length, stream reset", overHttp2(true)],
  ["HTTP/2, connection cut", overHttp2(false)],
];

describe.for(ways)("%s that breaks off", ([, way]) => {
  test.for(breaks)(
    "over %s, loses nothing wherever that happens",
    async ([, breakOff], { agent }) => {
      const directory = `${agent.directory}/d`;
      mkdirSync(directory);
      const old = randomBytes(300_000);
      writeFileSync(`${directory}/old`, old);
      const sizes = [1_000, 200_000, 3 * MIB];
      for (const size of sizes) {
        const content = randomBytes(size);
        for (const name of ["old", "new"]) {
          const file = `${directory}/${name}`;
          const body = way.body(file, content);
          const path = way.hasQuery ? filesPath({ path: file }) : "/files";
          const cuts = [
            0,
            1,
            body.length - LAST_BOUNDARY_BYTES,
            ...Array.from({ length: 3 }, () =>
              Math.floor(Math.random() * (body.length - LAST_BOUNDARY_BYTES)),
            ),
          ];
          for (const cut of cuts) {
            await breakOff(agent, { path, headers: way.headers, body, cut });
          }
        }
      }

      await vi.waitFor(() => expect(openFilesIn(directory)).toEqual([]));
      await vi.waitFor(() => expect(readdirSync(directory)).toEqual(["old"]));
      expect(readFileSync(`${directory}/old`).equals(old)).toBe(true);
      expect(openFilesIn("/var/tmp")).toEqual([]);
    },
  );
});

test("a form that breaks off keeps the files that were complete", async ({ agent }) => {
  const at = agent.directory;
  const parts = ["one", "two", "three"].map((name) => ({
    head: `Content-Disposition: form-data; name="file"; filename="${at}/f/${name}"`,
    body: Buffer.alloc(2 * MIB, name),
  }));
  const body = form("XX", parts);
  const headers = { "content-type": "multipart/form-data; boundary=XX" };

  await overHttp1(false, false)(agent, { path: "/files", headers, body, cut: 5 * MIB });

  await vi.waitFor(() => expect(readdirSync(`${at}/f`).toSorted()).toEqual(["one", "two"]));
  expect(readFileSync(`${at}/f/two`).equals(Buffer.alloc(2 * MIB, "two"))).toBe(true);
});

test("an HTTP/2 client that ends properly, but before the length it gave, loses nothing", async ({
  agent,
}) => {
  const file = `${agent.directory}/f`;
  writeFileSync(file, "old");
  for (const path of [file, `${agent.directory}/new`]) {
    const session = connectHttp2(agent.url);
    const stream = session.request({
      ":method": "POST",
      ":path": filesPath({ path }),
      "content-type": "application/octet-stream",
      "content-length": "1000",
    });
    stream.on("error", () => {}).resume();
    stream.end("only this");
    await closed(stream);
    session.destroy();
  }

  await vi.waitFor(() => expect(existsSync(`${agent.directory}/new`)).toBe(false));
  expect(readFileSync(file, "utf8")).toBe("old");
});

test("an upload that waits for another one to the same file leaves with its client", async ({
  agent,
}) => {
  const directory = `${agent.directory}/d`;
  mkdirSync(directory);
  const file = `${directory}/f`;
  const head = (length: number) =>
    `POST ${filesPath({ path: file })} HTTP/1.1\r\nHost: x\r\nContent-Type: application/octet-stream\r\nContent-Length: ${length}\r\n\r\n`;
  const first = connect(agent.port, "127.0.0.1");
  first.on("error", () => {}).resume();
  first.write(`${head(10)}first`);
  await vi.waitFor(() => expect(existsSync(file)).toBe(true));
  const second = connect(agent.port, "127.0.0.1");
  second.on("error", () => {}).resume();
  second.write(`${head(6)}second`);
  await vi.waitFor(() => expect(openFilesIn(directory)).toHaveLength(2));

  second.resetAndDestroy();
  await vi.waitFor(() => expect(openFilesIn(directory)).toHaveLength(1));
  first.write("12345");

  await vi.waitFor(() => expect(readFileSync(file, "utf8")).toBe("first12345"));
  first.destroy();
});
