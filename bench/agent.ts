import { readdirSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { startHelper } from "./child.ts";
import { descriptorOf, tcpSockets } from "./tcp-sockets.ts";
import { type Target, targetOf } from "./wire.ts";

/** The agent that is measured. */
export interface Agent extends AsyncDisposable {
  target: Target;
  /** Its process, whose memory is read; `undefined` when it is not on this machine. */
  pid: number | undefined;
}

/** How thaw is started. */
export interface ThawOptions {
  /** Further flags of `thaw serve`. */
  flags?: readonly string[];
  /** The launcher; default that of `npm run build`. */
  launcher?: string | undefined;
  /** Variables besides those of the benchmark. */
  environment?: Record<string, string>;
}

/** The launcher that `npm run build` makes. */
export const LAUNCHER = fileURLToPath(new URL("../dist/thaw", import.meta.url));

/** Starts thaw as a process of its own on a free port. */
export async function startThaw(options: ThawOptions = {}): Promise<Agent> {
  const { flags = [], environment = {}, launcher = LAUNCHER } = options;
  const helper = await startHelper({
    command: launcher,
    args: ["serve", "--no-token", "--port", "0", ...flags],
    environment,
    ready: /(http:\/\/[^\s#"]+)/,
  });
  return {
    target: targetOf(helper.answer),
    pid: helper.pid,
    [Symbol.asyncDispose]: () => helper[Symbol.asyncDispose](),
  };
}

/** An agent that runs already. Left running. */
export function runningAgent(url: string, token: string | undefined): Agent {
  const target = targetOf(url, token);
  return { target, pid: listenerOn(target.port), [Symbol.asyncDispose]: () => Promise.resolve() };
}

/** The process on this machine that listens on `port`. */
function listenerOn(port: number): number | undefined {
  const listener = tcpSockets().find(
    (socket) => socket.localPort === port && socket.state === "listening",
  );
  if (listener === undefined) return undefined;
  const pids = readdirSync("/proc").filter((name) => /^\d+$/.test(name));
  return pids.map(Number).find((pid) => descriptorOf(pid, listener.inode) !== undefined);
}
