import { randomBytes } from "node:crypto";
import { once } from "node:events";
import { appendFileSync, truncateSync, writeFileSync } from "node:fs";
import { connect as connectHttp2 } from "node:http2";
import { connect } from "node:net";
import { describe, expect, vi } from "vitest";
import { test } from "../helpers/agent.ts";
import { filesPath } from "../helpers/requests.ts";
import { openFilesIn, scratchDirectory } from "../helpers/scratch.ts";

const MIB = 1024 * 1024;

describe("a file that changes while it is sent", () => {
  test("and grows is sent with the length that was announced", async ({ agent }) => {
    const file = `${agent.directory}/f`;
    writeFileSync(file, Buffer.alloc(20 * MIB, "a"));
    const socket = connect(agent.port, "127.0.0.1");
    socket.write(
      `GET ${filesPath({ path: file })} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n`,
    );
    const [first] = (await once(socket, "data")) as [Buffer];

    appendFileSync(file, Buffer.alloc(MIB, "b"));
    let rest = 0;
    for await (const chunk of socket) rest += (chunk as Buffer).length;

    const head = first.indexOf("\r\n\r\n") + 4;
    expect(first.length - head + rest).toBe(20 * MIB);
  });

  test.for(["identity", "gzip"])(
    "and shrinks breaks the connection off: %s",
    async (encoding, { agent }) => {
      const file = `${agent.directory}/f`;
      writeFileSync(file, randomBytes(40 * MIB));
      const socket = connect(agent.port, "127.0.0.1");
      socket.write(
        `GET ${filesPath({ path: file })} HTTP/1.1\r\nHost: x\r\nAccept-Encoding: ${encoding}\r\n\r\n`,
      );
      await once(socket, "readable");

      truncateSync(file, 1000);
      const chunks: Buffer[] = [];
      socket.on("error", () => {});
      socket.on("data", (chunk: Buffer) => chunks.push(chunk));
      await once(socket, "close");

      const received = Buffer.concat(chunks);
      expect(received.length).toBeLessThan(40 * MIB);
      expect(received.subarray(-5).toString()).not.toBe("0\r\n\r\n");
    },
  );

  test("and shrinks resets an HTTP/2 stream, and only that", async ({ agent }) => {
    const file = `${agent.directory}/f`;
    writeFileSync(file, randomBytes(40 * MIB));
    const session = connectHttp2(agent.url);
    const stream = session.request({ ":path": filesPath({ path: file }) });
    await once(stream, "readable");

    truncateSync(file, 1000);
    stream.resume();
    const [error] = (await once(stream, "error")) as [Error];

    expect(error.message).toContain("NGHTTP2_INTERNAL_ERROR");
    const health = session.request({ ":path": "/health" });
    const [headers] = (await once(health, "response")) as [Record<string, unknown>];
    expect(headers[":status"]).toBe(204);
    session.destroy();
  });
});

test("clients that go away in the middle leave nothing open", async ({ agent }) => {
  using scratch = scratchDirectory();
  const file = `${scratch.path}/f`;
  writeFileSync(file, Buffer.alloc(30 * MIB));
  for (const encoding of ["identity", "gzip", "identity", "gzip"]) {
    const socket = connect(agent.port, "127.0.0.1");
    socket.write(
      `GET ${filesPath({ path: file })} HTTP/1.1\r\nHost: x\r\nAccept-Encoding: ${encoding}\r\n\r\n`,
    );
    await once(socket, "readable");
    socket.resetAndDestroy();

    const session = connectHttp2(agent.url);
    const stream = session.request({
      ":path": filesPath({ path: file }),
      "accept-encoding": encoding,
    });
    stream.on("error", () => {});
    await once(stream, "readable");
    stream.close(8);
    session.destroy();
  }

  await vi.waitFor(() => expect(openFilesIn(scratch.path)).toEqual([]));
});

describe("a client that stops reading", () => {
  test.override({ config: { stallTimeoutMs: 300 } });

  test("is cut off, and its file is closed", async ({ agent }) => {
    using scratch = scratchDirectory();
    const file = `${scratch.path}/f`;
    writeFileSync(file, Buffer.alloc(30 * MIB));
    const socket = connect(agent.port, "127.0.0.1");
    socket.on("error", () => {});
    socket.write(`GET ${filesPath({ path: file })} HTTP/1.1\r\nHost: x\r\n\r\n`);
    await once(socket, "readable");
    expect(openFilesIn(scratch.path)).toHaveLength(1);

    await vi.waitFor(() => expect(openFilesIn(scratch.path)).toEqual([]), { timeout: 5_000 });

    socket.destroy();
  });
});
