import { once } from "node:events";
import { type AddressInfo, createServer } from "node:net";
import { expect, test } from "vitest";
import { exchange } from "../../../src/system/http-exchange.ts";

/** Asks a server that answers every connection with `reply` and closes it. */
async function askForReply(reply: string): Promise<unknown> {
  const server = createServer((socket) => {
    socket.on("error", () => {});
    socket.once("data", () => socket.end(reply));
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  const { port } = server.address() as AddressInfo;
  try {
    const url = new URL(`http://127.0.0.1:${port}/`);
    return await exchange({ url, method: "GET", headers: {}, timeoutMs: 5_000 });
  } finally {
    server.close();
  }
}

test("a reply is its status and its body", async () => {
  const reply = await askForReply("HTTP/1.1 202 OK\r\nContent-Length: 2\r\n\r\nhi");

  expect(reply).toEqual({ status: 202, body: "hi" });
});

test.for([
  ["nothing", ""],
  ["no HTTP", "hello\r\n\r\n"],
  ["half a body", "HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhi"],
  ["another protocol", "HTTP/1.1 101 Switching\r\nUpgrade: x\r\nConnection: upgrade\r\n\r\n"],
] as const)("a server that answers with %s is an error", async ([, reply]) => {
  await expect(askForReply(reply)).rejects.toThrow(Error);
});
