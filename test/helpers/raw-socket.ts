import { once } from "node:events";
import { connect, type Socket } from "node:net";

/** A connection whose bytes a test writes itself. */
export interface RawSocket {
  socket: Socket;
  /** Everything that has come so far. */
  received(): string;
  /** Resolves when the other side has closed, with everything that came. */
  closed: Promise<string>;
}

/** Connects to `port` of this machine. */
export async function rawSocket(port: number): Promise<RawSocket> {
  const socket = connect(port, "127.0.0.1");
  const chunks: Buffer[] = [];
  const received = () => Buffer.concat(chunks).toString("latin1");
  socket.on("error", () => {});
  socket.on("data", (chunk: Buffer) => chunks.push(chunk));
  const closed = new Promise<string>((resolve) => socket.once("close", () => resolve(received())));
  await once(socket, "connect");
  return { socket, received, closed };
}

/** Writes `text` and returns everything that comes until the other side closes. */
export async function exchange(port: number, text: string | Uint8Array): Promise<string> {
  const raw = await rawSocket(port);
  raw.socket.write(text);
  return await raw.closed;
}
