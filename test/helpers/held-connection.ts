import { once } from "node:events";
import { Agent } from "node:http";
import { connect, type Socket } from "node:net";
import { createClient, type Transport } from "@connectrpc/connect";
import { createConnectTransport, Http2SessionManager } from "@connectrpc/connect-node";
import { Process } from "../../gen/process/process_pb.js";
import type { HttpVersion } from "./requests.ts";

/** How the agent ended a connection. */
export type Ending = "closed" | "reset";

/** Where an agent is: the port, or the Unix socket of a proxy. */
export type Target = { port: number } | { path: string };

/** One connection that a test holds; calls go over it and never over another. */
export interface HeldConnection extends Disposable {
  version: HttpVersion;
  socket: Socket;
  transport: Transport;
  /** How it ended; `undefined` while it is open. */
  readonly ending: Ending | undefined;
  /** Resolves when it has ended. */
  ended: Promise<Ending>;
  /** Makes a call over it. */
  ask(): Promise<void>;
}

/** Opens a connection and leaves it idle after one call. */
export async function hold(
  version: HttpVersion,
  target: Target,
  headers: Record<string, string> = {},
): Promise<HeldConnection> {
  const socket = connect(target as { port: number; host?: string });
  await once(socket, "connect");
  let ending: Ending | undefined;
  let reason: Ending = "closed";
  socket.on("error", (error: NodeJS.ErrnoException) => {
    if (error.code === "ECONNRESET") reason = "reset";
  });
  const ended = new Promise<Ending>((resolve) =>
    socket.once("close", () => {
      ending = reason;
      resolve(reason);
    }),
  );
  let isTaken = false;
  const take = () => {
    if (isTaken) throw new Error("the connection has ended");
    isTaken = true;
    return socket;
  };
  const { transport, drop } = version === "h1" ? overHttp1(take) : overHttp2(take);
  const ask = async () => {
    await createClient(Process, transport).list({}, { headers });
  };
  await ask();
  return {
    version,
    socket,
    transport,
    get ending() {
      return ending;
    },
    ended,
    ask,
    [Symbol.dispose]() {
      drop();
      socket.destroy();
    },
  };
}

const BASE_URL = "http://agent";

function overHttp1(take: () => Socket) {
  const agent = new Agent({ keepAlive: true, maxSockets: 1 });
  agent.createConnection = () => take();
  const nodeOptions = { agent };
  const transport = createConnectTransport({ baseUrl: BASE_URL, httpVersion: "1.1", nodeOptions });
  return { transport, drop: () => agent.destroy() };
}

function overHttp2(take: () => Socket) {
  const sessionManager = new Http2SessionManager(BASE_URL, {}, { createConnection: () => take() });
  const transport = createConnectTransport({ baseUrl: BASE_URL, httpVersion: "2", sessionManager });
  return { transport, drop: () => sessionManager.abort() };
}
