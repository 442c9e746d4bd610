import { randomBytes } from "node:crypto";
import { once } from "node:events";
import { closeSync, ftruncateSync, openSync, readSync, writeSync } from "node:fs";
import { type IncomingMessage, request } from "node:http";
import { connect as connectHttp2 } from "node:http2";
import { type AddressInfo, connect, createServer } from "node:net";
import { join } from "node:path";
import type { Readable } from "node:stream";
import { createClient } from "@connectrpc/connect";
import { describe, expect } from "vitest";
import { Process } from "../../gen/process/process_pb.js";
import { NoticedBy, Snapshot, State } from "../../gen/snapshot/snapshot_pb.js";
import { startTestAgent, test } from "../helpers/agent.ts";
import { Binary } from "../helpers/binary.ts";
import { hold } from "../helpers/held-connection.ts";
import { MetadataServer } from "../helpers/metadata-server.ts";
import { follow, text } from "../helpers/process.ts";
import { filesPath, type HttpVersion, httpVersions } from "../helpers/requests.ts";
import { prepare, watch } from "../helpers/snapshots.ts";

/** Many times what all buffers on the way hold. */
const LARGE = (process.env["THAW_LONG"] === "1" ? 1024 : 256) * 1024 ** 2;
/** The whole of it once; the second time is for the protocol's sake. */
const SIZES = { h1: LARGE, h2: LARGE / 4 };
/** Not a page, so that nothing falls into place by accident. */
const STRIDE = 33_333_333;

/** A large file that takes little room: random bytes here and there, nothing between. */
class SparseFile implements Disposable {
  readonly path: string;
  readonly #fd: number;

  constructor(directory: string, size: number) {
    this.path = join(directory, "sparse");
    this.#fd = openSync(this.path, "w+");
    ftruncateSync(this.#fd, size);
    for (let at = 0; at < size; at += STRIDE) writeSync(this.#fd, randomBytes(4_099), 0, 4_099, at);
    writeSync(this.#fd, randomBytes(7), 0, 7, size - 7);
  }

  /** Whether `bytes` are what is at `offset`. */
  hasAt(offset: number, bytes: Buffer): boolean {
    const own = Buffer.allocUnsafe(bytes.length);
    return readSync(this.#fd, own, 0, own.length, offset) === own.length && own.equals(bytes);
  }

  [Symbol.dispose](): void {
    closeSync(this.#fd);
  }
}

/** A download that is read as far as it is wanted, and compared as it comes. */
class Download implements Disposable {
  length = 0;
  readonly #file: SparseFile;
  readonly #chunks: AsyncIterator<Buffer>;
  readonly #drop: () => void;

  constructor(file: SparseFile, body: Readable, drop: () => void) {
    this.#file = file;
    this.#chunks = (body as AsyncIterable<Buffer>)[Symbol.asyncIterator]();
    this.#drop = drop;
  }

  static async start(version: HttpVersion, url: string, file: SparseFile): Promise<Download> {
    const path = filesPath({ path: file.path });
    if (version === "h1") {
      const outgoing = request(`${url}${path}`, { agent: false });
      outgoing.end();
      const [response] = (await once(outgoing, "response")) as [IncomingMessage];
      return new Download(file, response, () => response.destroy());
    }
    const session = connectHttp2(url);
    return new Download(file, session.request({ ":path": path }), () => session.destroy());
  }

  /** Reads on until `length` bytes have come, or all. Returns whether it has come to the end. */
  async readTo(length: number): Promise<boolean> {
    while (this.length < length) {
      const { done, value } = await this.#chunks.next();
      if (done === true) return true;
      if (!this.#file.hasAt(this.length, value)) throw new Error(`other bytes at ${this.length}`);
      this.length += value.length;
    }
    return false;
  }

  [Symbol.dispose](): void {
    this.#drop();
  }
}

/** Counts on a terminal, a line a moment, until a line is typed. */
const COUNTING = [
  "stty -echo; i=0; typed=",
  // What was read when the time is over is in the variable, and the end of the line may be lost.
  "until [[ $typed == *stopped ]]; do",
  "read -r -t 0.002 part; typed+=$part; i=$((i + 1)); echo $i",
  "done",
  'echo "$typed after $i"',
].join("\n");

/** What it has written when it was stopped after so many lines. */
const counted = (last: number) => [
  ...Array.from({ length: last }, (_, index) => String(index + 1)),
  `stopped after ${last}`,
];

describe.for(httpVersions)("over %s, a pause that does not come about", (version) => {
  test("costs a terminal no line, and a large download no byte", async ({ agent }) => {
    const size = SIZES[version];
    using file = new SparseFile(agent.directory, size);
    using connection = await hold(version, agent);
    const terminal = await follow(
      createClient(Process, connection.transport).start({
        process: { cmd: "bash", args: ["-c", COUNTING] },
        pty: { size: { cols: 80, rows: 24 } },
      }),
    );
    const lines = (count: number) =>
      terminal.until((events) => text(events, "pty").split("\n").length > count);
    using download = await Download.start(version, agent.url, file);
    await lines(10);
    await download.readTo(size / 8);

    const { report } = await prepare(agent);
    const before = text(terminal.events, "pty").split("\n").length;
    await lines(before + 20);
    await download.readTo(size / 4);
    using host = await hold("h1", agent);
    const snapshots = createClient(Snapshot, host.transport);
    await expect.poll(async () => (await snapshots.status({})).state).toBe(State.RUNNING);
    await lines(before + 40);
    await agent.process().sendInput({
      process: terminal.selector,
      input: { input: { case: "pty", value: Buffer.from("stopped\n") } },
    });

    expect(report.blockers).toEqual(["2 streams are open"]);
    expect((await snapshots.status({})).lastRestore).toMatchObject({
      noticedBy: NoticedBy.CONNECTION,
      zombiesDestroyed: 0,
      connectionsKept: 3,
    });
    expect(await download.readTo(2 * size)).toBe(true);
    expect(download.length).toBe(size);
    const output = text(await terminal.rest(), "pty")
      .trimEnd()
      .split("\r\n");
    expect(output).toEqual(counted(output.length - 1));
  });
});

test("an agent that is stopped after Prepare, and goes on, has lost nobody", async () => {
  await using binary = await Binary.envd(["-isnotfc"]);
  const target = { port: Number(new URL(binary.url).port) };
  using busy = await hold("h2", target);
  const follower = createClient(Process, busy.transport);
  const program = await follow(
    follower.start({ process: { cmd: "bash", args: ["-c", COUNTING] }, pty: {} }),
  );
  using carrier = await hold("h1", target);
  const report = await createClient(Snapshot, carrier.transport).prepare({});

  binary.child.kill("SIGSTOP");
  // The kernel takes the connection and the request while nobody is there to answer.
  const asking = connect({ ...target, host: "127.0.0.1" });
  asking.write("GET /health HTTP/1.1\r\nHost: guest\r\n\r\n");
  await once(asking, "ready");
  binary.child.kill("SIGCONT");
  const [answer] = (await once(asking, "data")) as [Buffer];
  asking.destroy();
  using host = await hold("h1", target);
  const snapshots = createClient(Snapshot, host.transport);
  await expect.poll(async () => (await snapshots.status({})).state).toBe(State.RUNNING);
  const { lastRestore } = await snapshots.status({});
  await createClient(Process, host.transport).sendInput({
    process: program.selector,
    input: { input: { case: "pty", value: Buffer.from("stopped\n") } },
  });

  expect(report.blockers).toEqual(["1 stream is open"]);
  expect(answer.toString()).toMatch(/^HTTP\/1\.1 204 No Content\r\n/);
  expect(lastRestore).toMatchObject({ noticedBy: NoticedBy.CONNECTION, zombiesDestroyed: 0 });
  const output = text(await program.rest(), "pty")
    .trimEnd()
    .split("\r\n");
  expect(output).toEqual(counted(output.length - 1));
});

describe("forwarding", () => {
  /** Stands for the guest's outer address. */
  const OUTER = "127.0.0.3";

  const isReached = (port: number) =>
    new Promise<boolean>((resolve) => {
      const socket = connect(port, OUTER);
      socket.once("connect", () => resolve(true));
      socket.once("error", () => resolve(false));
      socket.once("connect", () => socket.destroy());
    });

  /** An agent that forwards, and the port of a service on loopback that it makes reachable. */
  async function withService(
    body: (agent: Awaited<ReturnType<typeof startTestAgent>>, port: number) => Promise<void>,
  ): Promise<void> {
    await using metadata = await MetadataServer.start({ instanceID: "i", envID: "e" });
    const inVm = { isNotFc: false, forwardAddress: OUTER, metadataUrl: metadata.url };
    await using agent = await startTestAgent(inVm);
    const service = createServer((socket) => socket.end()).listen(0, "127.0.0.1");
    await once(service, "listening");
    const { port } = service.address() as AddressInfo;
    try {
      await expect.poll(() => isReached(port), { timeout: 5_000 }).toBe(true);
      await body(agent, port);
    } finally {
      service.close();
    }
  }

  test("rests from Prepare on, and comes back with the next connection", async () => {
    await withService(async (agent, port) => {
      using changes = await watch(agent);
      await prepare(agent);
      const { awake } = await changes.until(State.PREPARED);

      expect(awake.filter((why) => why.startsWith("ports:"))).toEqual([]);
      expect(await isReached(port)).toBe(false);
      await fetch(`${agent.url}/health`);
      expect((await changes.until(State.RUNNING)).awake).toContain("ports: a scan every 1000 ms");
      await expect.poll(() => isReached(port), { timeout: 3_000 }).toBe(true);
    });
  });
});
