import { once } from "node:events";
import { connect as connectHttp2 } from "node:http2";
import { connect, type NetConnectOpts, type Socket } from "node:net";
import { connect as connectTls } from "node:tls";

/** What a client speaks, and through what. */
export interface Way {
  version: "h1" | "h2";
  isEncrypted: boolean;
}

/** Every way a server of one port can be spoken to. */
export const ways: readonly Way[] = (["h1", "h2"] as const).flatMap((version) =>
  [false, true].map((isEncrypted) => ({ version, isEncrypted })),
);

/** One connection of a client that sends no more than it is told to. */
export interface NetClient {
  /** Asks for `path`; resolves once `text` has come after that. */
  ask(path: string, text: string): Promise<void>;
  /** Resolves once `text` comes. */
  until(text: string): Promise<void>;
  /** The code of the error that ended it; `undefined` when it was closed in order. */
  ended: Promise<string | undefined>;
  destroy(): void;
}

/** Opens a connection to a server that listens at `target`. */
export async function openClient(
  { version, isEncrypted }: Way,
  target: NetConnectOpts,
): Promise<NetClient> {
  const carrier = connect(target);
  let reason: string | undefined;
  const onError = (error: NodeJS.ErrnoException) => {
    reason ??= error.code;
  };
  carrier.on("error", onError);
  const ended = new Promise<string | undefined>((resolve) => {
    // What reads from the carrier hears of its end a moment later.
    carrier.once("close", () => setImmediate(() => resolve(reason)));
  });
  await once(carrier, "connect");
  const socket = isEncrypted ? await encrypt(carrier, version) : carrier;
  socket.on("error", onError);
  const arrivals = new Arrivals();
  const send =
    version === "h1" ? overHttp1(socket, arrivals) : overHttp2(socket, arrivals, onError);
  return {
    until: (text) => arrivals.until(text),
    ask: async (path, text) => {
      const arrived = arrivals.until(text);
      send(path);
      await arrived;
    },
    ended,
    destroy: () => carrier.destroy(),
  };
}

/** What has come; the text that was waited for, and all before it, is forgotten. */
class Arrivals {
  #text = "";
  #onChange: () => void = () => {};

  add(chunk: Buffer | string): void {
    this.#text += String(chunk);
    this.#onChange();
  }

  until(text: string): Promise<void> {
    return new Promise((resolve) => {
      this.#onChange = () => {
        const at = this.#text.indexOf(text);
        if (at < 0) return;
        this.#text = this.#text.slice(at + text.length);
        this.#onChange = () => {};
        resolve();
      };
      this.#onChange();
    });
  }
}

async function encrypt(carrier: Socket, version: Way["version"]): Promise<Socket> {
  const ALPNProtocols = [version === "h2" ? "h2" : "http/1.1"];
  const socket = connectTls({ socket: carrier, rejectUnauthorized: false, ALPNProtocols });
  await once(socket, "secureConnect");
  return socket;
}

function overHttp1(socket: Socket, arrivals: Arrivals): (path: string) => void {
  socket.on("data", (chunk: Buffer) => arrivals.add(chunk));
  return (path) => socket.write(`GET ${path} HTTP/1.1\r\nHost: guest\r\n\r\n`);
}

function overHttp2(
  socket: Socket,
  arrivals: Arrivals,
  onError: (error: Error) => void,
): (path: string) => void {
  const session = connectHttp2("http://guest", { createConnection: () => socket });
  session.on("error", onError);
  return (path) => {
    const stream = session.request({ ":path": path });
    stream.on("error", () => {});
    stream.on("data", (chunk: Buffer) => arrivals.add(chunk));
  };
}
