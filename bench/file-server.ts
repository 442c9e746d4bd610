/**
 * The baseline for files: the fastest bare Node server known. A download is positioned reads into
 * reused 1 MiB buffers with a Content-Length; an upload is the raw body, collected to 1 MiB and
 * written with `writev` while more arrives. `GET` and `POST /files?path=…`. Prints `ready <port>`.
 */
import { close, fstat, open, read, writev } from "node:fs";
import { createServer, type IncomingMessage, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";

const BLOCK_BYTES = 1024 * 1024;
/** Upload bytes that wait for the disk before the connection waits as well. */
const WAITING_BYTES = 4 * BLOCK_BYTES;
const free: Buffer[] = [];

function download(path: string, response: ServerResponse): void {
  open(path, "r", (failure, fd) => {
    if (failure) return fail(response, failure);
    fstat(fd, (_, { size }) => {
      response.setHeader("content-length", size);
      sendBlocks(fd, size, response);
    });
  });
}

/** Reads the next block while the last one is being sent. */
function sendBlocks(fd: number, size: number, response: ServerResponse): void {
  const buffers = [free.pop() ?? block(), size > BLOCK_BYTES ? (free.pop() ?? block()) : undefined];
  const finish = () => {
    close(fd, () => {});
    for (const buffer of buffers) if (buffer !== undefined) free.push(buffer);
  };
  let position = 0;
  let turn = 0;
  let isSent = true;
  let isRead = false;
  let filled = 0;
  const readNext = () => {
    isRead = false;
    read(fd, buffers[turn] as Buffer, 0, BLOCK_BYTES, position, (failure, bytes) => {
      if (failure) {
        response.destroy();
        finish();
        return;
      }
      filled = bytes;
      isRead = true;
      sendNext();
    });
  };
  const sendNext = () => {
    if (!isSent || !isRead) return;
    const bytes = (buffers[turn] as Buffer).subarray(0, filled);
    position += filled;
    turn = 1 - turn;
    if (position >= size) {
      response.end(bytes, finish);
      return;
    }
    isSent = false;
    response.write(bytes, () => {
      isSent = true;
      sendNext();
    });
    readNext();
  };
  readNext();
}

function block(): Buffer {
  return Buffer.allocUnsafeSlow(BLOCK_BYTES);
}

function upload(path: string, request: IncomingMessage, response: ServerResponse): void {
  open(path, "w", 0o644, (failure, fd) => {
    if (failure) return fail(response, failure);
    let waiting: Buffer[] = [];
    let waitingBytes = 0;
    let isWriting = false;
    let hasEnded = false;
    const write = () => {
      if (isWriting) return;
      if (waitingBytes >= BLOCK_BYTES || (hasEnded && waitingBytes > 0)) {
        const chunks = waiting;
        waiting = [];
        waitingBytes = 0;
        isWriting = true;
        request.resume();
        writev(fd, chunks, () => {
          isWriting = false;
          write();
        });
      } else if (hasEnded) {
        response.end("[]");
        close(fd, () => {});
      }
    };
    request.on("data", (chunk: Buffer) => {
      waiting.push(chunk);
      waitingBytes += chunk.length;
      if (waitingBytes > WAITING_BYTES) request.pause();
      write();
    });
    request.once("end", () => {
      hasEnded = true;
      write();
    });
  });
}

function fail(response: ServerResponse, failure: Error): void {
  response.writeHead(500).end(failure.message);
}

const server = createServer((request, response) => {
  const path = new URL(request.url ?? "/", "http://localhost").searchParams.get("path") ?? "";
  if (request.method === "GET") download(path, response);
  else upload(path, request, response);
});
server.listen(0, "127.0.0.1", () => console.log(`ready ${(server.address() as AddressInfo).port}`));
