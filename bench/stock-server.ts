/**
 * The baseline for JSON output: `Start` as a plain connect-node service would do it, with every
 * chunk of the child's stdout yielded as a message through the stock codec. HTTP/1.1 on one port,
 * HTTP/2 on another. Prints `ready <port> <port>`.
 */
import { spawn } from "node:child_process";
import { createServer } from "node:http";
import { createServer as createHttp2Server } from "node:http2";
import type { AddressInfo, Server } from "node:net";
import { connectNodeAdapter } from "@connectrpc/connect-node";
import { Process } from "../gen/process/process_pb.js";

const handler = connectNodeAdapter({
  routes: (router) =>
    router.service(Process, {
      async *start(request) {
        const { cmd = "", args = [] } = request.process ?? {};
        const child = spawn(cmd, args, { stdio: ["ignore", "pipe", "ignore"] });
        const pid = child.pid ?? 0;
        yield { event: { event: { case: "start", value: { pid } } } };
        for await (const stdout of child.stdout as AsyncIterable<Uint8Array>) {
          const output = { case: "stdout", value: stdout } as const;
          yield { event: { event: { case: "data", value: { output } } } };
        }
        yield {
          event: { event: { case: "end", value: { exited: true, status: "exit status 0" } } },
        };
      },
    }),
});

async function listen(server: Server): Promise<number> {
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  return (server.address() as AddressInfo).port;
}

const http1 = await listen(createServer(handler));
const http2 = await listen(createHttp2Server(handler));
console.log(`ready ${http1} ${http2}`);
