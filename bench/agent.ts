import { readdirSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { startHelper } from "./child.ts";
import { residentOf } from "./memory.ts";
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
  /** The directory that `npm run build` filled; default this checkout's. */
  build?: string | undefined;
  /** Whether it carries 256 MB of other things on its heap. */
  isLarge?: boolean;
}

/** What `npm run build` makes. */
export const BUILD = fileURLToPath(new URL("../dist", import.meta.url));
const BALLAST = fileURLToPath(new URL("ballast.cjs", import.meta.url));
/** What the ballast adds at least, in KiB. */
const BALLAST_KIB = 256 * 1024;

/** Starts thaw as a process of its own on a free port. */
export async function startThaw(options: ThawOptions = {}): Promise<Agent> {
  const { flags = [], build = BUILD, isLarge = false } = options;
  const args = ["serve", "--no-token", "--port", "0", ...flags];
  const helper = await startHelper({
    ready: /(http:\/\/[^\s#"]+)/,
    // The launcher keeps foreign options away from Node, so the ballast goes around it.
    ...(isLarge
      ? { command: process.execPath, args: ["--require", BALLAST, `${build}/start.cjs`, ...args] }
      : { command: `${build}/thaw`, args }),
  });
  const end = () => helper[Symbol.asyncDispose]();
  if (isLarge && residentOf(helper.pid) < BALLAST_KIB) {
    await end();
    throw new Error("the agent did not take its ballast");
  }
  return { target: targetOf(helper.answer), pid: helper.pid, [Symbol.asyncDispose]: end };
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
