import { once } from "node:events";
import { createServer, type Server, type Socket } from "node:net";
import type { Guest } from "../client/index.ts";
import type { HostCall } from "./host-call.ts";
import { Failure, type HostCommand } from "./host-command.ts";
import { remark } from "./paint.ts";

/** One port of this machine and where it leads. */
export interface Forward {
  /** The address to bind here. */
  bind: string;
  /** 0 picks a free one. */
  localPort: number;
  /** As the guest sees it; empty for its loopback. */
  host: string;
  port: number;
}

/** Makes ports of the guest reachable here. */
export const FORWARD: HostCommand = {
  name: "forward",
  operands: "[TARGET] [[BIND:]LOCAL:][HOST:]REMOTE...",
  summary: "reach ports of the guest from here, until Ctrl-C",
  notes: `8080:3000            this machine's loopback at 8080 is the guest's at 3000
3000                 the same port on both sides
0:3000               a free port here; it is printed
0.0.0.0:8080:3000    open to whoever reaches this machine
5432:db.lan:5432     a host that the guest can reach`,
  run: forward,
};

async function forward(call: HostCall): Promise<number> {
  const words = [...call.operands, ...(call.rest ?? [])];
  const isDefault = /^\d+(:\d+)?$/.test(words[0] ?? "");
  const forwards = (isDefault ? words : words.slice(1)).map((word) => {
    const read = readForward(word);
    if (read === undefined) throw call.usage(`"${word}" is not LOCAL:REMOTE`);
    return read;
  });
  if (forwards.length === 0) throw call.usage("no LOCAL:REMOTE is given");
  const { guest } = call.open(isDefault ? undefined : words[0]);
  const leaving = new AbortController();
  process.once("SIGINT", () => leaving.abort()).once("SIGTERM", () => leaving.abort());
  const servers: Server[] = [];
  try {
    for (const one of forwards) servers.push(await listen(guest, one, leaving.signal));
    if (!leaving.signal.aborted) await once(leaving.signal, "abort");
    return 0;
  } finally {
    leaving.abort();
    for (const server of servers) server.close();
  }
}

/** Reads `3000`, `8080:3000`, `BIND:8080:3000`, `8080:HOST:3000` or `BIND:8080:HOST:3000`. */
export function readForward(text: string): Forward | undefined {
  const parts = (text.match(/\[[^\]]*\]|[^:]+/g) ?? []).map((part) => part.replace(/[[\]]/g, ""));
  const [a = "", b = "", c = "", d = ""] = parts;
  const forms: (readonly [string, string, string, string] | undefined)[] = [
    undefined,
    ["127.0.0.1", a, "", a],
    ["127.0.0.1", a, "", b],
    isPort(a) ? ["127.0.0.1", a, b, c] : [a, b, "", c],
    [a, b, c, d],
  ];
  const form = forms[parts.length];
  if (form === undefined || !isPort(form[1]) || !isPort(form[3]) || form[3] === "0")
    return undefined;
  return { bind: form[0], localPort: Number(form[1]), host: form[2], port: Number(form[3]) };
}

function isPort(part: string | undefined): boolean {
  return /^\d{1,5}$/.test(part ?? "") && Number(part) < 65_536;
}

async function listen(guest: Guest, to: Forward, signal: AbortSignal): Promise<Server> {
  const server = createServer({ allowHalfOpen: true }, (socket) => {
    void carry(guest, socket, to, signal);
  });
  server.listen(to.localPort, to.bind);
  try {
    await once(server, "listening");
  } catch (cause) {
    throw new Failure(`cannot listen on ${to.bind}:${to.localPort}: ${String(cause)}`, { cause });
  }
  const address = server.address();
  const port = typeof address === "object" ? address?.port : to.localPort;
  const where = to.host === "" ? String(to.port) : `${to.host}:${to.port}`;
  process.stdout.write(`${to.bind}:${port} -> ${where}\n`);
  return server;
}

async function carry(
  guest: Guest,
  socket: Socket,
  to: Forward,
  signal: AbortSignal,
): Promise<void> {
  socket.setNoDelay(true);
  try {
    await guest.ports.forward(socket, to.port, { host: to.host, signal });
  } catch (reason) {
    if (!signal.aborted && (reason as { kind?: string }).kind !== "canceled") {
      remark(`${to.port}: ${reason instanceof Error ? reason.message : String(reason)}`);
    }
  }
}
