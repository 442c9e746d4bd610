/**
 * The baseline for output: a bare Node server that pipes a child's stdout, or a terminal, into
 * the response. `GET /pipe?bytes=N` and `GET /pty?bytes=N`; HTTP/1.1 on one port, HTTP/2 on
 * another. Prints `ready <port> <port>`.
 */
import { type ChildProcess, spawn } from "node:child_process";
import { closeSync } from "node:fs";
import { createServer, type IncomingMessage, type ServerResponse } from "node:http";
import { createServer as createHttp2Server } from "node:http2";
import type { AddressInfo, Server } from "node:net";
import { ReadStream } from "node:tty";
import { libcFunction } from "../src/system/libc.ts";
import { PTY_ARGS, writerOf } from "./writer.ts";

/** The part of a response that both HTTP versions have. */
type Sink = NodeJS.WritableStream;

function answer(url: string | undefined, response: Sink): void {
  const { pathname, searchParams } = new URL(url ?? "/", "http://localhost");
  const bytes = Number(searchParams.get("bytes"));
  if (pathname === "/pty") pipeTerminal(bytes, response);
  else {
    const { cmd, args } = writerOf(bytes);
    const child = spawn(cmd, args, { stdio: ["ignore", "pipe", "ignore"] });
    child.stdout.pipe(response);
  }
}

function pipeTerminal(bytes: number, response: Sink): void {
  const master = new Int32Array(1);
  const slave = new Int32Array(1);
  const openpty = libcFunction(
    "int openpty(_Out_ int *master, _Out_ int *slave, void *name, void *modes, void *size)",
  );
  openpty(master, slave, null, null, null);
  const terminal = slave[0] as number;
  const { cmd, args } = writerOf(bytes, PTY_ARGS);
  const child: ChildProcess = spawn(cmd, args, { stdio: [terminal, terminal, terminal] });
  const stream = new ReadStream(master[0] as number);
  // The other side is held until the child has ended, so that its last output is not lost.
  child.once("exit", () => closeSync(terminal));
  stream.on("data", (data) => {
    if (!response.write(data)) {
      stream.pause();
      response.once("drain", () => stream.resume());
    }
  });
  stream.on("error", () => stream.destroy());
  stream.once("close", () => response.end());
}

async function listen(server: Server): Promise<number> {
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  return (server.address() as AddressInfo).port;
}

const http1 = createServer((request: IncomingMessage, response: ServerResponse) => {
  answer(request.url, response);
});
const http2 = createHttp2Server((request, response) => answer(request.url, response.stream));
console.log(`ready ${await listen(http1)} ${await listen(http2)}`);
