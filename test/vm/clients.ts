import http from "node:http";
import http2, { type ClientHttp2Session, type ClientHttp2Stream } from "node:http2";
import type { Socket } from "node:net";
import { type ConnectOptions, GUEST, type Network } from "./rig/network.ts";

/** The agent's port in the guest. */
export const PORT = 49983;
const UPLOAD_BYTES = 100 * 1024 * 1024;
const LARGE_FILE = "/tmp/large";

/** What connections may be in the middle of when a machine is frozen. */
export const KINDS = [
  "h1 idle",
  "h1 streaming",
  "h2 idle",
  "h2 unary in flight",
  "Start stream",
  "PTY",
  "upload",
  "download",
  "WatchDir",
] as const;
/** One of them. */
export type Kind = (typeof KINDS)[number];

/** A client that is connected to the guest. */
export interface HeldClient {
  kind: Kind;
  socket: Socket;
  /** The client's port: by it the guest's kernel tells whose socket one is. */
  port: number;
}

/** Opens one connection of every kind and brings it to where it is to be frozen. */
export async function openEveryKind(
  network: Network,
  options: ConnectOptions = {},
): Promise<HeldClient[]> {
  const connect = () => network.connect(PORT, options);
  // Without readers, these would end with their programs.
  await unary(network, "process.Process/Start", start("sleep 1000", { tag: "deaf", stdin: true }));
  await unary(network, "process.Process/Start", start(`truncate -s 100M ${LARGE_FILE}`));
  const open: Record<Kind, (socket: Socket) => Promise<unknown>> = {
    "h1 idle": (socket) => get(socket, "/health"),
    "h1 streaming": (socket) =>
      streamOverHttp1(socket, start("while :; do echo x; sleep 0.2; done")),
    "h2 idle": async (socket) => await ended(ask(session(socket), { ":path": "/health" })),
    "h2 unary in flight": async (socket) => {
      const input = { stdin: Buffer.alloc(1 << 20).toString("base64") };
      const body = JSON.stringify({ process: { tag: "deaf" }, input });
      const headers = { ...POST, ":path": "/process.Process/SendInput", ...JSON_TYPE };
      const stream = ask(session(socket), headers);
      await new Promise((resolve) => stream.end(body, () => resolve(undefined)));
    },
    "Start stream": (socket) => stream(socket, "process.Process/Start", start("sleep 1000")),
    PTY: (socket) =>
      stream(
        socket,
        "process.Process/Start",
        start("cat", { pty: { size: { cols: 80, rows: 24 } } }),
      ),
    upload: (socket) => upload(socket),
    download: (socket) => download(socket),
    WatchDir: (socket) => stream(socket, "filesystem.Filesystem/WatchDir", { path: "/tmp" }),
  };
  const clients: HeldClient[] = [];
  for (const kind of KINDS) {
    const socket = await connect();
    socket.on("error", () => {});
    clients.push({ kind, socket, port: socket.localPort ?? 0 });
    await open[kind](socket);
  }
  return clients;
}

/** What `GET path` answers on a connection of its own: status and body. */
export async function getOnce(
  network: Network,
  path: string,
  options: {
    method?: string;
    connectMs?: number;
    timeoutMs?: number;
    body?: string;
    type?: string;
  } = {},
): Promise<{ status: number; body: string }> {
  const { timeoutMs = 10_000, connectMs = timeoutMs, ...rest } = options;
  const socket = await network.connect(PORT, { timeoutMs: connectMs });
  try {
    return await exchange(socket, path, { ...rest, timeoutMs });
  } finally {
    socket.destroy();
  }
}

/** Calls a unary RPC, or a stream up to its first message, on a connection of its own. */
export async function unary(
  network: Network,
  method: string,
  message: object,
  headers: http.OutgoingHttpHeaders = {},
): Promise<unknown> {
  const socket = await network.connect(PORT);
  try {
    if (method.endsWith("/Start")) return await streamOverHttp1(socket, message, headers);
    const body = JSON.stringify(message);
    const options = { method: "POST", body, type: "application/json", timeoutMs: 20_000 };
    const answer = await exchange(socket, `/${method}`, options);
    if (answer.status !== 200) throw new Error(`${method}: ${answer.status} ${answer.body}`);
    return JSON.parse(answer.body);
  } finally {
    socket.destroy();
  }
}

/** Asks until the guest answers. Resolves with how long that took, in ms. */
export async function firstAnswer(network: Network, path = "/health"): Promise<number> {
  const start = performance.now();
  for (;;) {
    try {
      // A SYN that is lost before the guest runs would only be sent again after a second. What the
      // guest has accepted, it answers.
      await getOnce(network, path, { connectMs: 150, timeoutMs: 5_000 });
      return performance.now() - start;
    } catch (error) {
      if (performance.now() - start > 30_000) throw error;
    }
  }
}

/** A Start of a shell script. */
export function start(script: string, rest: object = {}): object {
  return { process: { cmd: "/bin/bash", args: ["-c", script] }, ...rest };
}

const AUTHORITY = `${GUEST}:${PORT}`;
const POST = { ":method": "POST" };
const JSON_TYPE = { "content-type": "application/json" };
const STREAM_TYPE = "application/connect+json";

function session(socket: Socket): ClientHttp2Session {
  const opened = http2.connect("http://guest", { createConnection: () => socket });
  opened.on("error", () => {});
  return opened;
}

function ask(on: ClientHttp2Session, headers: http2.OutgoingHttpHeaders): ClientHttp2Stream {
  const stream = on.request(headers);
  stream.on("error", () => {});
  return stream;
}

function ended(stream: ClientHttp2Stream): Promise<void> {
  return new Promise((resolve) => {
    stream.resume();
    stream.on("close", resolve);
    stream.end();
  });
}

/** A stream over HTTP/2, up to its first message. */
async function stream(socket: Socket, method: string, message: object): Promise<void> {
  const headers = { ...POST, ":path": `/${method}`, "content-type": STREAM_TYPE };
  const opened = ask(session(socket), headers);
  opened.end(enveloped(message));
  await new Promise((resolve) => opened.once("data", resolve));
}

/** Start over HTTP/1, up to its first message. */
async function streamOverHttp1(
  socket: Socket,
  message: object,
  headers: http.OutgoingHttpHeaders = {},
): Promise<void> {
  const request = http.request({
    createConnection: () => socket,
    method: "POST",
    path: "/process.Process/Start",
    headers: { host: AUTHORITY, "content-type": STREAM_TYPE, ...headers },
  });
  request.on("error", () => {});
  request.end(enveloped(message));
  await new Promise<void>((resolve) => {
    request.once("response", (response) => {
      response.on("error", () => {});
      response.once("data", () => resolve());
    });
  });
}

function enveloped(message: object): Buffer {
  const body = Buffer.from(JSON.stringify(message));
  const head = Buffer.alloc(5);
  head.writeUInt32BE(body.length, 1);
  return Buffer.concat([head, body]);
}

async function upload(socket: Socket): Promise<void> {
  const head = [
    "POST /files?path=/tmp/uploaded HTTP/1.1",
    "host: guest",
    "content-type: application/octet-stream",
    `content-length: ${UPLOAD_BYTES}`,
  ].join("\r\n");
  await new Promise((resolve) => {
    socket.write(Buffer.concat([Buffer.from(`${head}\r\n\r\n`), Buffer.alloc(1 << 20)]), resolve);
  });
}

/** Takes the first bytes and then no more. */
async function download(socket: Socket): Promise<void> {
  socket.write(`GET /files?path=${LARGE_FILE} HTTP/1.1\r\nhost: guest\r\n\r\n`);
  await new Promise((resolve) => socket.once("data", resolve));
  socket.pause();
}

async function get(socket: Socket, path: string): Promise<void> {
  socket.write(`GET ${path} HTTP/1.1\r\nhost: guest\r\n\r\n`);
  await new Promise((resolve) => socket.once("data", resolve));
}

interface Exchange {
  method?: string;
  body?: string;
  type?: string;
  timeoutMs: number;
}

function exchange(
  socket: Socket,
  path: string,
  { method = "GET", body = "", type, timeoutMs }: Exchange,
): Promise<{ status: number; body: string }> {
  return new Promise((resolve, reject) => {
    const headers: http.OutgoingHttpHeaders = { host: AUTHORITY, connection: "close" };
    if (type !== undefined) headers["content-type"] = type;
    const request = http.request({ createConnection: () => socket, method, path, headers });
    request.on("error", reject);
    request.setTimeout(timeoutMs, () => request.destroy(new Error(`${path}: no answer`)));
    request.on("response", (response) => {
      let text = "";
      response.setEncoding("utf8");
      response.on("data", (part: string) => {
        text += part;
      });
      response.on("end", () => resolve({ status: response.statusCode ?? 0, body: text }));
      response.on("error", reject);
    });
    request.end(body);
  });
}
