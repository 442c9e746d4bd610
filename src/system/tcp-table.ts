import { readFile } from "node:fs/promises";
import { SocketAddress } from "node:net";

/** The states of linux/include/net/tcp_states.h, as `ss` names them. */
export const TCP_STATES = [
  "UNKNOWN",
  "ESTAB",
  "SYN-SENT",
  "SYN-RECV",
  "FIN-WAIT-1",
  "FIN-WAIT-2",
  "TIME-WAIT",
  "UNCONN",
  "CLOSE-WAIT",
  "LAST-ACK",
  "LISTEN",
  "CLOSING",
] as const;

/** The state of a TCP socket. */
export type TcpState = (typeof TCP_STATES)[number];

/** One TCP socket of this machine. */
export interface TcpSocket {
  state: TcpState;
  /** As the kernel writes it: hexadecimal, in its own byte order. */
  localAddress: string;
  localPort: number;
  inode: string;
}

/** `sl local_address rem_address st tx:rx tr:when retrnsmt uid timeout inode` of the kernel. */
const ROW = /^ *\d+: ([0-9A-F]+):([0-9A-F]{4}) \S+ ([0-9A-F]{2}) \S+ \S+ \S+ +\d+ +\d+ (\d+)/gm;

/** Every TCP socket of this machine, over IPv4 and IPv6. */
export async function readTcpTable(): Promise<TcpSocket[]> {
  const tables = await Promise.all(["/proc/net/tcp", "/proc/net/tcp6"].map(readTable));
  return tables.flatMap(parseTcpTable);
}

/** Reads a `/proc/net/tcp` or `tcp6` table. */
export function parseTcpTable(table: string): TcpSocket[] {
  return [...table.matchAll(ROW)].map(
    ([, localAddress = "", port = "", state = "", inode = ""]) => ({
      localAddress,
      localPort: Number.parseInt(port, 16),
      state: TCP_STATES[Number.parseInt(state, 16)] ?? "UNKNOWN",
      inode,
    }),
  );
}

/** An address of the kernel's tables as people write it, as in "127.0.0.1" or "::1". */
export function addressOf(hex: string): string {
  const bytes = Buffer.from(hex, "hex").swap32();
  if (bytes.length === 4) return bytes.join(".");
  const groups = bytes.toString("hex").match(/.{4}/g) ?? [];
  return new SocketAddress({ family: "ipv6", address: groups.join(":") }).address;
}

/** How many sockets are on `port` in each state, its listener left out. */
export async function countSockets(port: number): Promise<{ state: TcpState; count: number }[]> {
  const counts = new Map<TcpState, number>();
  for (const { localPort, state } of await readTcpTable()) {
    if (localPort !== port || state === "LISTEN") continue;
    counts.set(state, (counts.get(state) ?? 0) + 1);
  }
  return [...counts].map(([state, count]) => ({ state, count }));
}

/** A kernel without IPv6 has one table only. */
async function readTable(path: string): Promise<string> {
  return await readFile(path, "latin1").catch(() => "");
}
