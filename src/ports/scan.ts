import { readTcpTable, type TcpSocket } from "../system/tcp-table.ts";

/** A program of the guest that waits for connections from the guest itself only. */
export interface Listener {
  port: number;
  /** The loopback address it is bound to. */
  address: "127.0.0.1" | "::1";
  /** The kernel's number of the socket: another program on the same port has another. */
  inode: number;
}

const LOOPBACKS: Record<string, Listener["address"]> = {
  "0100007F": "127.0.0.1",
  // ::ffff:127.0.0.1, which only IPv4 reaches.
  "0000000000000000FFFF00000100007F": "127.0.0.1",
  "00000000000000000000000001000000": "::1",
};

/** The listeners on loopback among `sockets`. */
export function listenersOf(sockets: readonly TcpSocket[]): Listener[] {
  return sockets.flatMap(({ state, localAddress, localPort, inode }) => {
    const address = LOOPBACKS[localAddress];
    if (state !== "LISTEN" || address === undefined) return [];
    return [{ port: localPort, address, inode: Number(inode) }];
  });
}

/** Every listener on loopback now. */
export async function scanListeners(): Promise<Listener[]> {
  return listenersOf(await readTcpTable());
}
