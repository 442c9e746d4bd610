import { spawn } from "node:child_process";
import { once } from "node:events";
import { writeFileSync } from "node:fs";
import { connect as connectHttp2 } from "node:http2";
import { connect } from "node:net";
import { join } from "node:path";
import { create, type MessageInitShape, toBinary } from "@bufbuild/protobuf";
import { WriteFileRequestSchema } from "../../gen/filesystem/filesystem_pb.js";
import type { TestAgent } from "./agent.ts";
import { frame } from "./raw-rpc.ts";
import { writeFileMessages } from "./uploads.ts";

const PATH = "/filesystem.Filesystem/WriteFile";
const TYPE = "application/connect+proto";
const FIXTURE = join(import.meta.dirname, "../fixtures/upload-part.ts");

/** The body of a WriteFile call, byte for byte, and where its commit begins. */
export async function writeFileBody(
  open: { path: string; uploadId: string },
  content: Buffer,
  from: number,
): Promise<{ body: Buffer; commitAt: number }> {
  const frames: Buffer[] = [];
  for await (const message of writeFileMessages(open, content, { from, chunkBytes: 40_000 })) {
    frames.push(encode(message));
  }
  const body = Buffer.concat(frames);
  return { body, commitAt: body.length - (frames.at(-1)?.length ?? 0) };
}

function encode(message: MessageInitShape<typeof WriteFileRequestSchema>): Buffer {
  return frame(toBinary(WriteFileRequestSchema, create(WriteFileRequestSchema, message)));
}

/** Sends a part of a call's body, then breaks off without a word. */
type BreakOff = (agent: TestAgent, part: Buffer) => Promise<void>;

function overHttp1(isReset: boolean): BreakOff {
  return async (agent, part) => {
    const socket = connect(agent.port, "127.0.0.1");
    socket.on("error", () => {}).resume();
    const head = `POST ${PATH} HTTP/1.1\r\nHost: x\r\nContent-Type: ${TYPE}\r\nTransfer-Encoding: chunked\r\n\r\n`;
    socket.write(head);
    await new Promise((resolve) => {
      socket.write(Buffer.concat([Buffer.from(`${part.length.toString(16)}\r\n`), part]), resolve);
    });
    const closed = once(socket, "close");
    if (isReset) socket.resetAndDestroy();
    else socket.end();
    await closed;
  };
}

/** `how` breaks off: by a reset, by an end that looks like a good one, or with the connection. */
function overHttp2(how: "reset" | "end" | "session"): BreakOff {
  return async (agent, part) => {
    const session = connectHttp2(agent.url);
    session.on("error", () => {});
    const stream = session.request({ ":method": "POST", ":path": PATH, "content-type": TYPE });
    stream.on("error", () => {}).resume();
    const closed = once(stream, "close");
    await new Promise((resolve) => {
      stream.write(part, resolve);
    });
    if (how === "reset") stream.close(8);
    else if (how === "end") stream.end();
    else session.destroy();
    await closed;
    session.destroy();
  };
}

/** A client process that gets SIGKILL. */
const killed: BreakOff = async (agent, part) => {
  const file = `${agent.directory}/part`;
  writeFileSync(file, part);
  const arguments_ = [FIXTURE, agent.url, file, String(part.length)];
  const child = spawn(process.execPath, arguments_, { stdio: ["ignore", "pipe", "inherit"] });
  await once(child.stdout, "data");
  const exited = once(child, "exit");
  child.kill("SIGKILL");
  await exited;
};

/** The ways an upload ends without its client. The last is the dearest. */
export const breaks: [string, BreakOff][] = [
  ["HTTP/1.1, reset", overHttp1(true)],
  ["HTTP/1.1, closed", overHttp1(false)],
  ["HTTP/2, stream reset", overHttp2("reset")],
  ["HTTP/2, stream ended as if complete", overHttp2("end")],
  ["HTTP/2, connection cut", overHttp2("session")],
  ["the client killed", killed],
];
