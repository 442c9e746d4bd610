import { execFileSync } from "node:child_process";
import { once } from "node:events";
import { connect, createServer, type Socket } from "node:net";
import { test as base, expect, vi } from "vitest";
import {
  hasUnread,
  probePeer,
  resetOnClose,
  setKeepAlive,
  tcpInfo,
} from "../../../src/system/tcp.ts";

const fdOf = (socket: Socket) => (socket as Socket & { _handle: { fd: number } })._handle.fd;

const test = base.extend<{
  host: string;
  pair: { client: Socket; accepted: Socket; port: number };
}>({
  host: "127.0.0.1",
  pair: async ({ host }, use) => {
    const server = createServer({ pauseOnConnect: true }).listen(0, host);
    await once(server, "listening");
    const { port } = server.address() as { port: number };
    const client = connect(port, host).on("error", () => {});
    const [accepted] = (await once(server, "connection")) as [Socket];
    accepted.on("error", () => {});
    server.close();
    await use({ client, accepted, port });
    client.destroy();
    accepted.destroy();
  },
});

test("the kernel tells when the peer was last heard of", async ({ pair: { accepted, client } }) => {
  await vi.waitFor(() => expect(tcpInfo(fdOf(accepted))?.lastAckReceivedMs).toBeGreaterThan(50));
  client.write("x");

  const info = tcpInfo(fdOf(accepted));

  expect(info).toMatchObject({ state: "ESTAB", unacked: 0, unansweredProbes: 0 });
  expect(info?.lastDataReceivedMs).toBeLessThan(40);
});

test("what is no TCP socket has nothing to tell", () => {
  expect(tcpInfo(-1)).toBeUndefined();
  expect(probePeer(-1)).toBe(false);
  expect(hasUnread(-1)).toBe(false);
});

test("a peer that lives answers a probe, and hears nothing of it", async ({
  pair: { accepted, client },
}) => {
  const fd = fdOf(accepted);
  await vi.waitFor(() => expect(tcpInfo(fd)?.lastAckReceivedMs).toBeGreaterThan(100));
  let heard = 0;
  client.on("data", () => {
    heard += 1;
  });

  expect(probePeer(fd)).toBe(true);

  await vi.waitFor(() => expect(tcpInfo(fd)?.lastAckReceivedMs).toBeLessThan(60));
  expect(heard).toBe(0);
  accepted.end("still here");
  expect(String(await once(client, "data"))).toBe("still here");
});

test("a probed socket keeps nobody from the port", async ({ pair: { accepted, port } }) => {
  expect(probePeer(fdOf(accepted))).toBe(true);

  const again = createServer().listen(port, "127.0.0.1");
  await once(again, "listening");
  again.close();
});

test("bytes that nobody has read are seen", async ({ pair: { accepted, client } }) => {
  expect(hasUnread(fdOf(accepted))).toBe(false);

  client.write("x");

  await vi.waitFor(() => expect(hasUnread(fdOf(accepted))).toBe(true));
});

test("a socket set to be reset tells its peer so and leaves nothing", async ({
  pair: { accepted, client, port },
}) => {
  const failed = once(client, "error");

  resetOnClose(fdOf(accepted));
  accepted.write("never read");
  accepted.destroy();

  expect((await failed)[0]).toMatchObject({ code: "ECONNRESET" });
  expect(execFileSync("ss", ["-Htan", `sport = :${port}`], { encoding: "utf8" })).toBe("");
});

test("keep-alive is set to the second", ({ pair: { accepted, port } }) => {
  setKeepAlive(fdOf(accepted), { idleS: 15, intervalS: 5, probes: 3 });

  const row = execFileSync("ss", ["-Htno", `sport = :${port}`], { encoding: "utf8" });

  expect(row).toMatch(/timer:\(keepalive,1[45]/);
});
