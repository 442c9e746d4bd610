import { once } from "node:events";
import type { AddressInfo } from "node:net";
import { createServer } from "node:net";
import { afterEach, beforeEach, expect, test } from "vitest";
import { MetadataService, parseMetadata } from "../../../src/init/metadata-service.ts";
import { MetadataServer } from "../../helpers/metadata-server.ts";

const DATA = {
  instanceID: "sandbox",
  envID: "template",
  address: "http://10.0.0.1/logs",
  accessTokenHash: "abc",
};
const limits = { timeoutMs: 5_000 };

let server: MetadataServer;
let service: MetadataService;
beforeEach(async () => {
  server = await MetadataServer.start(DATA);
  service = new MetadataService(server.url);
});
afterEach(() => server[Symbol.asyncDispose]());

test("a lookup fetches a session token and then the data", async () => {
  expect(await service.fetch(limits)).toEqual({
    instanceId: "sandbox",
    templateId: "template",
    address: "http://10.0.0.1/logs",
    accessTokenHash: "abc",
  });
  expect(server.requests).toMatchObject([
    {
      method: "PUT",
      path: "/latest/api/token",
      headers: { "x-metadata-token-ttl-seconds": "60", connection: "close" },
    },
    {
      method: "GET",
      path: "/",
      headers: {
        "x-metadata-token": "session-token",
        accept: "application/json",
        connection: "close",
      },
    },
  ]);
});

test("no connection stays open", async () => {
  await service.fetch(limits);

  await expect.poll(() => server.connections()).toBe(0);
});

test.for([
  ['{"instanceID":1,"envID":null}', { instanceId: "", templateId: "" }],
  ["{}", { instanceId: "", address: "" }],
] as const)("%s leaves out what makes no sense", ([text, expected]) => {
  expect(parseMetadata(text)).toMatchObject(expected);
});

test.for(["", "{", "[]", "null", '"x"', "<html>"])("%j is refused", async (text) => {
  server.data = text;

  await expect(service.fetch(limits)).rejects.toThrow();
});

test("an empty token is refused", async () => {
  server.token = "";

  await expect(service.fetch(limits)).rejects.toThrow("empty token");
});

test("a service that has nothing yet is refused", async () => {
  server.data = undefined;

  await expect(service.fetch(limits)).rejects.toThrow("answers GET / with 404");
});

test("a reply without end is cut", async () => {
  server.data = "x".repeat(1024 * 1024 + 1);

  await expect(service.fetch(limits)).rejects.toThrow("longer than 1 MiB");
});

test("a silent service is given up after the time-out", async () => {
  server.isSilent = true;

  await expect(service.fetch({ timeoutMs: 50 })).rejects.toThrow("no reply after 50 ms");
  await expect.poll(() => server.connections()).toBe(0);
});

test("an abort ends the lookup", async () => {
  server.isSilent = true;
  const leaving = new AbortController();
  const lookup = service.fetch({ timeoutMs: 60_000, signal: leaving.signal });
  await expect.poll(() => server.requests.length).toBe(1);

  leaving.abort();

  await expect(lookup).rejects.toThrow("aborted");
  await expect.poll(() => server.connections()).toBe(0);
});

test("a service that hangs up within its reply is an error", async () => {
  const rude = createServer((socket) => {
    socket.on("error", () => {});
    socket.once("data", () => socket.end("HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhalf"));
  });
  rude.listen(0, "127.0.0.1");
  await once(rude, "listening");
  const { port } = rude.address() as AddressInfo;

  await expect(new MetadataService(`http://127.0.0.1:${port}`).fetch(limits)).rejects.toThrow();
  rude.close();
  await once(rude, "close");
});
