import { once } from "node:events";
import { connect, createServer, type Server, type Socket } from "node:net";
import { expect, vi } from "vitest";
import { Guest } from "../../src/client/index.ts";
import { test } from "../helpers/agent.ts";
import { CuttingProxy } from "../helpers/cutting-proxy.ts";

async function listen(
  onConnection: (socket: Socket) => void,
): Promise<AsyncDisposable & { port: number; server: Server }> {
  const sockets = new Set<Socket>();
  const server = createServer({ allowHalfOpen: true }, (socket) => {
    sockets.add(socket);
    socket.on("error", () => {});
    onConnection(socket);
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  const address = server.address();
  return {
    server,
    port: typeof address === "object" ? (address?.port ?? 0) : 0,
    [Symbol.asyncDispose]: async () => {
      for (const socket of sockets) socket.destroy();
      await new Promise((resolve) => server.close(resolve));
    },
  };
}

/** A local port whose connections are carried to `target` inside the guest. */
async function forwarded(guest: Guest, target: number) {
  const outcomes: Promise<unknown>[] = [];
  const local = await listen((socket) => {
    outcomes.push(guest.ports.forward(socket, target).catch((reason: unknown) => reason));
  });
  return { ...local, outcomes };
}

test("a port of the guest is listed and reached, each direction ending by itself", async ({
  agent,
}) => {
  using guest = new Guest(agent.url);
  // Answers only when it has been told everything.
  await using target = await listen((socket) => {
    const parts: Buffer[] = [];
    socket.on("data", (part: Buffer) => parts.push(part));
    socket.on("end", () => socket.end(Buffer.concat(parts).toString().toUpperCase()));
  });
  await using local = await forwarded(guest, target.port);
  const socket = connect({ port: local.port, host: "127.0.0.1", allowHalfOpen: true });
  socket.end("words");
  let answer = "";
  for await (const part of socket) answer += part;

  expect(answer).toBe("WORDS");
  expect(await Promise.all(local.outcomes)).toEqual([undefined]);
  expect(await guest.ports.list()).toContainEqual(
    expect.objectContaining({ port: target.port, address: "127.0.0.1" }),
  );
});

test("a way that is cut resets its connection, and says so", async ({ agent }) => {
  await using proxy = await CuttingProxy.start(agent.port);
  using guest = new Guest(proxy.url);
  await using target = await listen((socket) => socket.write("hello"));
  await using local = await forwarded(guest, target.port);
  const socket = connect(local.port, "127.0.0.1");
  await once(socket, "data");
  const failed = once(socket, "error");
  proxy.cut("reset");

  expect(await failed).toMatchObject([{ code: "ECONNRESET" }]);
  expect(await Promise.all(local.outcomes)).toMatchObject([{ name: "GuestError" }]);
});

test("a local connection that goes leaves nothing in the guest", async ({ agent }) => {
  using guest = new Guest(agent.url);
  const ends: string[] = [];
  await using target = await listen((socket) => {
    socket.write("hello");
    socket.on("close", () => ends.push("closed"));
    socket.resume();
  });
  await using local = await forwarded(guest, target.port);
  const socket = connect(local.port, "127.0.0.1");
  await once(socket, "data");
  socket.resetAndDestroy();

  await vi.waitFor(() => expect(ends).toEqual(["closed"]));
  expect(await Promise.all(local.outcomes)).toMatchObject([{ kind: "canceled" }]);
});

test("a port where nobody listens is refused", async ({ agent }) => {
  using guest = new Guest(agent.url);
  const target = await listen(() => {});
  await target[Symbol.asyncDispose]();
  await using local = await forwarded(guest, target.port);
  const socket = connect(local.port, "127.0.0.1");
  await expect(once(socket, "close")).rejects.toMatchObject({ code: "ECONNRESET" });

  expect(await Promise.all(local.outcomes)).toMatchObject([{ kind: "wrong-state" }]);
});
