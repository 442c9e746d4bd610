import { existsSync, readFileSync } from "node:fs";

/** One socket of this machine's TCP. */
export interface TcpSocket {
  localPort: number;
  remotePort: number;
  state: "established" | "listening" | "other";
  inode: number;
}

const STATES: Record<string, TcpSocket["state"]> = { "01": "established", "0A": "listening" };

/** Every TCP socket of this machine. */
export function tcpSockets(): TcpSocket[] {
  return ["/proc/net/tcp", "/proc/net/tcp6"]
    .filter((file) => existsSync(file))
    .flatMap((file) => readFileSync(file, "latin1").trim().split("\n").slice(1))
    .map((line) => {
      const [, local = "", remote = "", state = "", , , , , , inode] = line.trim().split(/\s+/);
      return {
        localPort: portOf(local),
        remotePort: portOf(remote),
        state: STATES[state] ?? "other",
        inode: Number(inode),
      };
    });
}

function portOf(address: string): number {
  return Number.parseInt(address.slice(address.indexOf(":") + 1), 16);
}
