import { once } from "node:events";
import { connect as connectHttp2 } from "node:http2";
import { connect } from "node:net";
import { Duplex } from "node:stream";
import { connect as connectTls } from "node:tls";
import { expect, test } from "vitest";
import { createLog } from "../../src/log.ts";
import { StallWatch } from "../../src/net/progress.ts";
import { Server } from "../../src/net/server.ts";
import { watchBody } from "../../src/net/watch-request.ts";
import { makeCertificate } from "../helpers/certificate.ts";

const STALL_MS = 1_000;
const BODY = Buffer.alloc(16 * 1024);
const PIECE_BYTES = 512;

/** A way to `port` that takes 5 KiB/s. */
function slowCarrier(port: number): Duplex {
  const socket = connect(port, "127.0.0.1");
  const send = (chunk: Buffer, done: () => void) => {
    socket.write(chunk.subarray(0, PIECE_BYTES));
    const rest = chunk.subarray(PIECE_BYTES);
    if (rest.length === 0) done();
    else setTimeout(() => send(rest, done), 100);
  };
  const carrier = new Duplex({
    read: () => {},
    write: (chunk: Buffer, _encoding, done) => send(chunk, done),
    destroy: (reason, done) => {
      socket.destroy();
      done(reason);
    },
  });
  socket.on("data", (chunk) => carrier.push(chunk)).on("error", () => {});
  socket.once("close", () => carrier.destroy());
  return carrier;
}

test("a body over HTTP/2 and TLS is not cut off for a record that comes slowly", async () => {
  const stalls = new StallWatch({ stallMs: STALL_MS, largeWindowMs: 60_000 });
  let begin = () => {};
  const begun = new Promise<void>((resolve) => (begin = resolve));
  const server = new Server({
    host: "127.0.0.1",
    port: 0,
    tls: makeCertificate(),
    log: createLog("silent"),
    onRequest: (request, response) => {
      begin();
      watchBody(request, response, stalls);
      let bytes = 0;
      request.on("data", (chunk: Buffer) => (bytes += chunk.length));
      request.on("end", () => response.end(String(bytes)));
    },
  });
  const carrier = slowCarrier(await server.listen());
  const options = { socket: carrier, rejectUnauthorized: false, ALPNProtocols: ["h2"] };
  const session = connectHttp2("https://localhost", {
    createConnection: () => connectTls(options),
  });
  session.on("error", () => {});
  const upload = session.request({ ":method": "POST", ":path": "/" });
  let text = "";
  upload.on("error", () => {}).on("data", (chunk: Buffer) => (text += chunk.toString()));
  // In a record of its own.
  await begun;
  upload.end(BODY);
  await new Promise((resolve) => upload.once("close", resolve));

  expect(text).toBe(String(BODY.length));

  session.destroy();
  if (!carrier.closed) await once(carrier, "close");
  await server.close(0);
});
