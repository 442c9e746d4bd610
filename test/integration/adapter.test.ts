import { once } from "node:events";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { createContextValues } from "@connectrpc/connect";
import { expect, vi } from "vitest";
import { Process } from "../../gen/process/process_pb.js";
import type { Logger } from "../../src/log.ts";
import { adapt } from "../../src/rpc/adapter.ts";
import { test } from "../helpers/agent.ts";
import { frame } from "../helpers/raw-rpc.ts";
import { rawSocket } from "../helpers/raw-socket.ts";

test("an answer that cannot be written is logged, and its connection closed", async () => {
  const error = vi.fn();
  const handle = adapt({
    routes: (router) => router.service(Process, { list: () => ({}) }),
    contextValues: () => createContextValues(),
    watch: (_request, _response, body) => body,
    log: { error } as unknown as Logger,
  });
  const server = createServer((request, response) => {
    response.write = () => {
      throw new TypeError("broken");
    };
    handle(request, response);
  });
  await once(server.listen(0, "127.0.0.1"), "listening");
  const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;

  const answer = fetch(`${url}/process.Process/List`, {
    method: "POST",
    headers: { "Content-Type": "application/json" },
    body: "{}",
  }).then((response) => response.text());

  await expect(answer).rejects.toThrow();
  expect(error).toHaveBeenCalledOnce();
  server.close();
  await once(server, "close");
});

test.override({ config: { stallTimeoutMs: 300 } });

test("a peer that is cut off is nothing to complain about", async ({ agent }) => {
  const complaints = vi.spyOn(console, "error");
  const body = frame(Buffer.from('{"process":{"cmd":"yes"}}'));
  const raw = await rawSocket(agent.port);
  raw.socket.write(
    `POST /process.Process/Start HTTP/1.1\r\nHost: x\r\nContent-Type: application/grpc-web+json\r\nContent-Length: ${body.length}\r\n\r\n`,
  );
  raw.socket.write(body);
  await vi.waitFor(() => expect(raw.received().length).toBeGreaterThan(100_000));

  raw.socket.pause();

  await vi.waitFor(() => expect(agent.connections()).toBe(0), 5_000);
  const { processes } = await agent.process().list({});
  for (const { pid } of processes) process.kill(pid, "SIGKILL");
  await vi.waitFor(async () => expect((await agent.process().list({})).processes).toEqual([]));
  expect(complaints.mock.calls).toEqual([]);
  complaints.mockRestore();
  raw.socket.destroy();
});
