import { once } from "node:events";
import { connect, createServer, type Server, type Socket } from "node:net";
import { pino } from "pino";
import { expect, test, vi } from "vitest";
import { createLog } from "../../src/log.ts";
import { Forwarder, type ForwarderOptions } from "../../src/ports/forwarder.ts";
import { leavingNothing } from "../helpers/agent.ts";
import { keepLog } from "../helpers/log-lines.ts";

/** Stands for the guest's outer address; all of 127.0.0.0/8 is this machine's. */
const OUTER = "127.0.0.2";
const WITHIN = { timeout: 6_000, interval: 20 };

async function withForwarder(
  body: (forwarder: Forwarder) => Promise<void>,
  options: Partial<ForwarderOptions> = {},
): Promise<void> {
  await leavingNothing(async () => {
    const log = createLog("silent");
    const forwarder = new Forwarder({ address: OUTER, ownPort: () => 1, log, ...options });
    forwarder.start();
    try {
      await body(forwarder);
    } finally {
      await forwarder.stop();
    }
  });
}

/** A service on loopback that answers in capitals when its client has said everything. */
async function service(host: string, port = 0): Promise<{ server: Server; port: number }> {
  const server = createServer({ allowHalfOpen: true }, (socket) => {
    const chunks: Buffer[] = [];
    socket.on("data", (chunk: Buffer) => chunks.push(chunk));
    socket.once("end", () => socket.end(Buffer.concat(chunks).toString().toUpperCase()));
    socket.on("error", () => {});
  });
  return { server, port: await portOf(server, host, port) };
}

async function portOf(server: Server, host = "127.0.0.1", port = 0): Promise<number> {
  server.listen(port, host);
  await once(server, "listening");
  const address = server.address();
  return typeof address === "object" && address !== null ? address.port : 0;
}

async function ask(port: number, text: string): Promise<string> {
  const socket = connect({ port, host: OUTER, allowHalfOpen: true });
  const chunks: Buffer[] = [];
  socket.on("data", (chunk: Buffer) => chunks.push(chunk));
  socket.end(text);
  await once(socket, "end");
  socket.destroy();
  return Buffer.concat(chunks).toString();
}

const forwarded = (forwarder: Forwarder, port: number) =>
  vi.waitFor(() => expect(forwarder.ports).toContain(port), WITHIN);
const close = (server: Server) => new Promise((resolve) => server.close(resolve));

test.for(["127.0.0.1", "::1"])(
  "a service on %s is reached from outside, each direction ended by itself",
  (host) =>
    withForwarder(async (forwarder) => {
      const { server, port } = await service(host);
      await forwarded(forwarder, port);

      expect(await ask(port, "hello")).toBe("HELLO");
      expect(await ask(port, "x".repeat(1_000_000))).toBe("X".repeat(1_000_000));

      await close(server);
    }),
);

test("a service that says its last word first still hears the rest", () =>
  withForwarder(async (forwarder) => {
    const heard: Buffer[] = [];
    const server = createServer({ allowHalfOpen: true }, (socket) => {
      socket.end("last word");
      socket.on("data", (chunk: Buffer) => heard.push(chunk));
    });
    const port = await portOf(server);
    await forwarded(forwarder, port);
    const client = connect({ port, host: OUTER, allowHalfOpen: true });
    client.resume();
    await once(client, "end");

    client.end("the rest");
    await vi.waitFor(() => expect(Buffer.concat(heard).toString()).toBe("the rest"), WITHIN);
    await close(server);
  }));

test("a connection that is cut on one side is cut on the other, and does not look ended", () =>
  withForwarder(async (forwarder) => {
    const server = createServer();
    const port = await portOf(server);
    await forwarded(forwarder, port);
    for (const cutter of ["inner", "outer"] as const) {
      const client = connect(port, OUTER);
      const [inner] = (await once(server, "connection")) as [Socket];
      inner.write("a part");
      await once(client, "data");
      const [cut, other] = cutter === "inner" ? [inner, client] : [client, inner];
      const ending = new Promise((resolve) => {
        other.once("error", (reason: NodeJS.ErrnoException) => resolve(reason.code));
        other.once("end", () => resolve("ended"));
      });
      other.resume();

      cut.resetAndDestroy();

      expect(await ending, cutter).toBe("ECONNRESET");
    }
    await close(server);
  }));

test("no more connections are carried than there is room for, over all ports", () => {
  const kept = keepLog();
  const body = async (forwarder: Forwarder) => {
    const first = await service("127.0.0.1");
    const second = await service("127.0.0.1");
    for (const { port } of [first, second]) await forwarded(forwarder, port);
    const held = [connect(first.port, OUTER), connect(second.port, OUTER)] as const;
    await Promise.all(held.map((client) => once(client, "connect")));

    await expect(ask(first.port, "x")).rejects.toThrow("ECONNRESET");
    await expect(ask(second.port, "x")).rejects.toThrow("ECONNRESET");
    const refusals = () => kept.lines.filter(({ msg }) => msg.startsWith("no room"));
    await vi.waitFor(() => expect(refusals()).not.toEqual([]), WITHIN);

    held[0].destroy();
    await vi.waitFor(async () => expect(await ask(second.port, "room")).toBe("ROOM"), WITHIN);
    held[1].destroy();
    await Promise.all([close(first.server), close(second.server)]);
  };
  return withForwarder(body, { mostConnections: 2, log: kept.log });
});

test("the way to a service that has gone is closed, and opened again when it is back", () =>
  withForwarder(async (forwarder) => {
    const first = await service("127.0.0.1");
    await forwarded(forwarder, first.port);
    await close(first.server);
    await vi.waitFor(() => expect(forwarder.ports).not.toContain(first.port), WITHIN);

    const second = await service("127.0.0.1", first.port);
    await forwarded(forwarder, first.port);

    expect(await ask(first.port, "again")).toBe("AGAIN");
    await close(second.server);
  }));

test("stopping ends what is carried, and starting carries again", () =>
  withForwarder(async (forwarder) => {
    const { server, port } = await service("127.0.0.1");
    await forwarded(forwarder, port);
    const open: Socket = connect(port, OUTER);
    await once(open, "connect");
    open.on("error", () => {});
    const ended = new Promise<boolean>((resolve) => open.once("close", resolve));

    await forwarder.stop();
    expect(await ended, "it is reset: its peer may be gone").toBe(true);
    expect(forwarder.ports).toEqual([]);
    await expect(ask(port, "x")).rejects.toThrow("ECONNREFUSED");
    forwarder.start();
    await forwarded(forwarder, port);

    expect(await ask(port, "back")).toBe("BACK");
    await close(server);
  }));

test("an address this machine does not have is told to the log and fails nothing", () =>
  leavingNothing(async () => {
    const lines: string[] = [];
    const log = pino({ level: "debug" }, { write: (line: string) => lines.push(line) });
    const forwarder = new Forwarder({ address: "169.254.0.21", ownPort: () => 1, log });
    const { server, port } = await service("127.0.0.1");
    forwarder.start();

    await vi.waitFor(
      () => expect(lines.some((line) => line.includes(`"port":${port}`))).toBe(true),
      WITHIN,
    );
    expect(forwarder.ports).toEqual([]);

    await forwarder.stop();
    await close(server);
  }));
