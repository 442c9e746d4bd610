import { spawn } from "node:child_process";
import { createHash, randomBytes } from "node:crypto";
import { once } from "node:events";
import { type AddressInfo, connect, createServer, type Server, type Socket } from "node:net";
import { Code, createClient } from "@connectrpc/connect";
import { describe, expect } from "vitest";
import { Ports } from "../../gen/ports/ports_pb.js";
import { Snapshot } from "../../gen/snapshot/snapshot_pb.js";
import { test } from "../helpers/agent.ts";
import { Forwarding } from "../helpers/forwarding.ts";
import { hold } from "../helpers/held-connection.ts";
import { prepare } from "../helpers/snapshots.ts";

const MIB = 1024 ** 2;
/** More than every buffer on the way together. */
const LARGE = 64 * MIB;

/** A program that listens on loopback, and the connections it has accepted. */
class Service implements AsyncDisposable {
  readonly port: number;
  readonly #server: Server;
  readonly #accepted: Socket[] = [];
  #onAccepted: () => void = () => {};

  private constructor(server: Server) {
    this.#server = server;
    this.port = (server.address() as AddressInfo).port;
    server.on("connection", (socket) => {
      socket.on("error", () => {});
      this.#accepted.push(socket);
      this.#onAccepted();
    });
  }

  static async start(act: (socket: Socket) => void = () => {}, host = "127.0.0.1") {
    const server = createServer({ allowHalfOpen: true }, act);
    server.listen(0, host);
    await once(server, "listening");
    return new Service(server);
  }

  /** The connection that was accepted first. */
  async accepted(): Promise<Socket> {
    while (this.#accepted.length === 0) {
      await new Promise<void>((resolve) => {
        this.#onAccepted = resolve;
      });
    }
    return this.#accepted[0] as Socket;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const socket of this.#accepted) socket.destroy();
    await new Promise((resolve) => this.#server.close(resolve));
  }
}

/** How a connection ended: the code of its error, or "closed". */
async function endingOf(socket: Socket): Promise<string> {
  let reason = "closed";
  socket.on("error", (error: NodeJS.ErrnoException) => {
    reason = error.code ?? error.message;
  });
  socket.resume();
  if (!socket.closed) await new Promise((resolve) => socket.once("close", resolve));
  return reason;
}

const echo = (socket: Socket) => socket.pipe(socket);
const textOf = async (forwarding: Forwarding) => {
  const chunks: Uint8Array[] = [];
  for await (const chunk of forwarding.data()) chunks.push(chunk);
  return Buffer.concat(chunks).toString();
};

describe("a forwarded connection", () => {
  test.for(["127.0.0.1", "::1"])("reaches what listens on %s only", async (host, { agent }) => {
    await using service = await Service.start(echo, host);
    using outer = await hold("h2", agent);
    const forwarding = await Forwarding.open(outer, { port: service.port });

    await forwarding.send(Buffer.from("hello"));
    const answer = await forwarding.next();
    await forwarding.end();

    expect(answer).toEqual({ case: "data", value: new Uint8Array(Buffer.from("hello")) });
    expect(await forwarding.next()).toMatchObject({ case: "end" });
    expect(await forwarding.next()).toBeUndefined();
    expect(await endingOf(await service.accepted())).toBe("closed");
  });

  test("carries much both ways at once, byte for byte", async ({ agent }) => {
    await using service = await Service.start(echo);
    using outer = await hold("h2", agent);
    const forwarding = await Forwarding.open(outer, { port: service.port });
    const block = randomBytes(MIB);
    const [sent, received] = [createHash("sha256"), createHash("sha256")];
    const sending = (async () => {
      for (let at = 0; at < LARGE; at += block.length) {
        block.writeUInt32LE(at, 0);
        sent.update(block);
        await forwarding.send(Buffer.from(block));
      }
      await forwarding.end();
    })();

    for await (const chunk of forwarding.data()) received.update(chunk);
    await sending;

    expect(received.digest("hex")).toBe(sent.digest("hex"));
  });

  test("is not compressed on its way, also where the caller offers it", async ({ agent }) => {
    await using service = await Service.start();
    using outer = await hold("h2", agent);
    let encoding: string | null = "unknown";
    const onHeader = (headers: Headers) => {
      encoding = headers.get("connect-content-encoding");
    };
    const forwarding = await Forwarding.open(outer, { port: service.port }, { onHeader });

    expect(encoding).toBeNull();
    await forwarding.cut();
    await expect(forwarding.next()).rejects.toBeDefined();
  });

  test("ends one direction while the other goes on, as `nc -N` wants it", async ({ agent }) => {
    await using service = await Service.start((socket) => {
      const chunks: Buffer[] = [];
      socket.on("data", (chunk: Buffer) => chunks.push(chunk));
      socket.once("end", () => socket.end(`all of ${Buffer.concat(chunks).toString()}`));
    });
    using outer = await hold("h2", agent);
    const forwarding = await Forwarding.open(outer, { port: service.port });

    await forwarding.send(Buffer.from("the question"));
    await forwarding.end();

    expect(await textOf(forwarding)).toBe("all of the question");
    expect(await forwarding.next()).toBeUndefined();
  });

  test("is ended by the program first, and still takes what is sent to it", async ({ agent }) => {
    await using service = await Service.start((socket) => socket.end("first"));
    using outer = await hold("h2", agent);
    const forwarding = await Forwarding.open(outer, { port: service.port });

    expect(await textOf(forwarding)).toBe("first");
    await forwarding.send(Buffer.from("then the caller"));
    const accepted = await service.accepted();
    const [late] = (await once(accepted, "data")) as [Buffer];
    await forwarding.end();

    expect(late.toString()).toBe("then the caller");
    expect(await forwarding.next()).toBeUndefined();
    expect(await endingOf(accepted)).toBe("closed");
  });

  test("is cut inside when its stream ends without a word", async ({ agent }) => {
    await using service = await Service.start();
    using outer = await hold("h2", agent);
    const forwarding = await Forwarding.open(outer, { port: service.port });
    const ending = endingOf(await service.accepted());

    await forwarding.cut();

    await expect(forwarding.next()).rejects.toMatchObject({ code: Code.InvalidArgument });
    expect(await ending).toBe("ECONNRESET");
  });

  test.for([
    ["goes", (outer: Socket) => outer.destroy()],
    ["is reset", (outer: Socket) => outer.resetAndDestroy()],
  ] as const)("is cut inside when its caller %s", async ([, leave], { agent }) => {
    await using service = await Service.start((socket) => socket.write(Buffer.alloc(LARGE)));
    using outer = await hold("h2", agent);
    const forwarding = await Forwarding.open(outer, { port: service.port });
    await forwarding.send(Buffer.from("x"));
    const ending = endingOf(await service.accepted());

    leave(outer.socket);

    expect(await ending).toBe("ECONNRESET");
    await expect(textOf(forwarding)).rejects.toBeDefined();
    await expect.poll(() => agent.connections()).toBe(0);
  });

  test("is cut inside when its call is given up", async ({ agent }) => {
    await using service = await Service.start();
    using outer = await hold("h2", agent);
    const leaving = new AbortController();
    const { signal } = leaving;
    const forwarding = await Forwarding.open(outer, { port: service.port }, { signal });
    const ending = endingOf(await service.accepted());

    leaving.abort();

    await expect(forwarding.next()).rejects.toMatchObject({ code: Code.Canceled });
    expect(await ending).toBe("ECONNRESET");
  });

  test("fails when the program cuts it, and does not look as if it had ended", async ({
    agent,
  }) => {
    await using service = await Service.start();
    using outer = await hold("h2", agent);
    const forwarding = await Forwarding.open(outer, { port: service.port });

    (await service.accepted()).resetAndDestroy();

    await expect(forwarding.next()).rejects.toMatchObject({
      code: Code.FailedPrecondition,
      rawMessage: expect.stringMatching(/^port \d+: the connection broke: .*ECONNRESET/),
    });
  });

  test("fails when the program cuts it behind what it has sent", async ({ agent }) => {
    await using service = await Service.start();
    using outer = await hold("h2", agent);
    const forwarding = await Forwarding.open(outer, { port: service.port });
    const inner = await service.accepted();

    // More than is under way to a caller that does not read.
    inner.write(Buffer.alloc(LARGE));
    await standstill(() => inner.writableLength);
    inner.resetAndDestroy();

    await expect(textOf(forwarding)).rejects.toMatchObject({ code: Code.FailedPrecondition });
  });

  test("says that it lives when nothing happens for as long as the caller names", async ({
    agent,
  }) => {
    await using service = await Service.start();
    using outer = await hold("h2", agent);
    const headers = { "Keepalive-Ping-Interval": "1" };
    const forwarding = await Forwarding.open(outer, { port: service.port }, { headers });

    expect(await forwarding.next()).toMatchObject({ case: "keepalive" });
    expect(await forwarding.next()).toMatchObject({ case: "keepalive" });
    await forwarding.cut();
    await expect(forwarding.next()).rejects.toBeDefined();
  });

  test("ends with the agent, which says so", async ({ agent }) => {
    await using service = await Service.start();
    using outer = await hold("h2", agent);
    const forwarding = await Forwarding.open(outer, { port: service.port });
    const ending = endingOf(await service.accepted());

    const next = forwarding.next();
    await Promise.all([
      agent.close(),
      expect(next).rejects.toMatchObject({ code: Code.Unavailable }),
    ]);

    expect(await ending).toBe("ECONNRESET");
  });
});

describe("with a short stall time, a forwarded connection", () => {
  test.override({ config: { stallTimeoutMs: 400 } });

  test("waits for a program that does not read, and for a caller that does not", async ({
    agent,
  }) => {
    const filled = Buffer.alloc(LARGE);
    await using service = await Service.start((socket) => {
      socket.pause();
      for (let at = 0; at < LARGE; at += MIB) socket.write(filled.subarray(at, at + MIB));
    });
    using outer = await hold("h2", agent);
    const forwarding = await Forwarding.open(outer, { port: service.port });
    const accepted = await service.accepted();
    let sentBytes = 0;
    const sending = (async () => {
      for (; sentBytes < LARGE; sentBytes += MIB) await forwarding.send(filled.subarray(0, MIB));
      await forwarding.end();
    })();
    const [queued, sent] = await standstill(() => [accepted.writableLength, sentBytes]);

    expect(queued, "the caller reads nothing").toBeGreaterThan(LARGE / 4);
    expect(sent, "the program reads nothing").toBeLessThan(LARGE / 2);
    let receivedBytes = 0;
    accepted.on("data", (chunk: Buffer) => (receivedBytes += chunk.length));
    accepted.once("end", () => accepted.end());
    accepted.resume();
    let answeredBytes = 0;
    for await (const chunk of forwarding.data()) answeredBytes += chunk.length;
    await sending;

    expect([receivedBytes, answeredBytes]).toEqual([LARGE, LARGE]);
  });
});

describe("Forward refuses", () => {
  async function refusal(agent: { port: number }, open: { host?: string; port: number }) {
    using outer = await hold("h2", agent);
    return await Forwarding.open(outer, open).catch((reason: unknown) => reason);
  }

  test("a port that nobody listens on, in words", async ({ agent }) => {
    const service = await Service.start();
    await service[Symbol.asyncDispose]();

    expect(await refusal(agent, { port: service.port })).toMatchObject({
      code: Code.FailedPrecondition,
      rawMessage: expect.stringMatching(
        `^port ${service.port}: nobody accepts a connection: .*ECONNREFUSED`,
      ),
    });
  });

  test("a host that does not exist", async ({ agent }) => {
    expect(await refusal(agent, { host: "no-such-host.invalid", port: 80 })).toMatchObject({
      code: Code.FailedPrecondition,
      rawMessage: expect.stringMatching(/^no-such-host\.invalid:80: nobody accepts/),
    });
  });

  test.for([0, 65_536, 4_294_967_295])("port %i", async (port, { agent }) => {
    expect(await refusal(agent, { port })).toMatchObject({
      code: Code.InvalidArgument,
      rawMessage: `port: there is no port ${port}`,
    });
  });

  test.for([
    [
      "bytes before the connection is asked for",
      [{ event: { case: "data" as const, value: new Uint8Array(1) } }],
    ],
    ["a stream without a word", []],
  ])("%s", async ([, requests], { agent }) => {
    using outer = await hold("h2", agent);
    async function* ask() {
      yield* requests as [];
    }
    const answers = createClient(Ports, outer.transport).forward(ask());

    await expect(answers[Symbol.asyncIterator]().next()).rejects.toMatchObject({
      code: Code.InvalidArgument,
    });
  });

  test("bytes after the end", async ({ agent }) => {
    await using service = await Service.start();
    using outer = await hold("h2", agent);
    const forwarding = await Forwarding.open(outer, { port: service.port });

    await forwarding.give({ case: "end", value: {} });
    await forwarding.send(Buffer.from("late"));

    await expect(forwarding.next()).rejects.toMatchObject({
      code: Code.InvalidArgument,
      rawMessage: "data: nothing comes after end",
    });
    await forwarding.cut();
  });
});

describe("a snapshot", () => {
  test("counts a forwarded connection as an open stream", async ({ agent }) => {
    await using service = await Service.start(echo);
    using outer = await hold("h2", agent);
    const forwarding = await Forwarding.open(outer, { port: service.port });

    const { report } = await prepare(agent);

    expect(report.blockers).toEqual(["1 stream is open"]);
    await forwarding.send(Buffer.from("goes on"));
    expect(await forwarding.next()).toMatchObject({ case: "data" });
    await forwarding.end();
    expect(await textOf(forwarding)).toBe("");
  });

  test("cuts what is carried inside together with the connection of the life before", async ({
    agent,
  }) => {
    await using service = await Service.start();
    using outer = await hold("h2", agent);
    const forwarding = await Forwarding.open(outer, { port: service.port });
    const ending = endingOf(await service.accepted());
    await prepare(agent);

    const { zombiesDestroyed } = await agent.client(Snapshot).restore({});

    expect(zombiesDestroyed).toBe(1);
    expect(await ending).toBe("ECONNRESET");
    await expect(forwarding.next()).rejects.toBeDefined();
  });
});

describe("List", () => {
  test("shows what listens, and who that is", async ({ agent }) => {
    const script =
      "require('net').createServer().listen(0, '127.0.0.1', function () { console.log(this.address().port) })";
    const child = spawn(process.execPath, ["-e", script], { stdio: ["ignore", "pipe", "inherit"] });
    const [line] = (await once(child.stdout, "data")) as [Buffer];
    const port = Number(line.toString());
    const client = connect(port, "127.0.0.1");
    await once(client, "connect");

    const { listeners } = await agent.client(Ports).list({});
    client.destroy();
    child.kill();
    await once(child, "close");

    expect(listeners.filter((one) => one.port === port)).toMatchObject([
      {
        address: "127.0.0.1",
        pid: child.pid,
        command: `${process.execPath} -e ${script}`,
        forwardedAt: "",
      },
    ]);
    expect(listeners.find((one) => one.port === agent.port)).toMatchObject({ pid: process.pid });
    expect(listeners.map((one) => one.port)).toEqual(
      listeners.map((one) => one.port).toSorted((one, other) => one - other),
    );
    await expect
      .poll(async () => (await agent.client(Ports).list({})).listeners.map((one) => one.port))
      .not.toContain(port);
  });

  describe("in a VM", () => {
    test.override({ config: { isNotFc: false, forwardAddress: "127.0.0.4" } });

    test("shows where a port is reached from outside, and not the agent's way to it", async ({
      agent,
    }) => {
      await using service = await Service.start();
      const shown = async () =>
        (await agent.client(Ports).list({})).listeners.filter((one) => one.port === service.port);

      await expect
        .poll(shown, { timeout: 5_000 })
        .toMatchObject([{ address: "127.0.0.1", forwardedAt: `127.0.0.4:${service.port}` }]);
    });
  });
});

/** What `read` gives once it gives the same for a second. */
async function standstill<T>(read: () => T): Promise<T> {
  let last = read();
  let since = performance.now();
  while (performance.now() - since < 1_000) {
    await new Promise((resolve) => setTimeout(resolve, 20));
    const now = read();
    if (JSON.stringify(now) !== JSON.stringify(last)) since = performance.now();
    last = now;
  }
  return last;
}
