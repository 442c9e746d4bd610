import { once } from "node:events";
import { type AddressInfo, createServer, type Socket } from "node:net";
import { TLSSocket } from "node:tls";
import { expect, test } from "vitest";
import { Peer } from "../../../src/net/peer.ts";
import { makeCertificate } from "../../helpers/certificate.ts";
import { NarrowSocket } from "../../helpers/narrow-socket.ts";

const STALL_MS = 10_000;

test("over TLS a whole record hides what a peer reads, beside its window", async () => {
  const server = createServer().listen(0, "127.0.0.1");
  await once(server, "listening");
  const accepted = once(server, "connection");
  using _ = new NarrowSocket((server.address() as AddressInfo).port, 4_096);
  const [socket] = (await accepted) as [Socket];
  const plain = Peer.ofSocket(socket).windowBytes(STALL_MS);
  const tls = new TLSSocket(socket, { isServer: true, ...makeCertificate() }).on("error", () => {});

  expect(plain).toBeGreaterThan(1_000);
  expect(plain).toBeLessThanOrEqual(4_096);
  expect(Peer.ofSocket(tls).windowBytes(STALL_MS)).toBe(plain + 16_384);

  tls.destroy();
  server.close();
});
