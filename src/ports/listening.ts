import { ownersOf, type SocketOwner } from "../system/socket-owners.ts";
import { addressOf, readTcpTable } from "../system/tcp-table.ts";
import type { Forwarder } from "./forwarder.ts";

/** Something that waits for TCP connections in the guest. */
export interface ListeningPort {
  /** As in "127.0.0.1" or "::". */
  address: string;
  port: number;
  /** Who listens, where that can be known. */
  owner: SocketOwner | undefined;
  /** Where the agent makes it reachable from outside; empty where it does not. */
  forwardedAt: string;
}

/** Everything that listens, by port; what the `forwarder` itself listens on is left out. */
export async function listListening(
  forwarder: Forwarder | undefined,
  signal: AbortSignal,
): Promise<ListeningPort[]> {
  const listeners = (await readTcpTable())
    .filter(({ state }) => state === "LISTEN")
    .map(({ localAddress, localPort: port, inode }) => ({
      address: addressOf(localAddress),
      port,
      inode,
    }))
    .filter(({ address, port }) => forwarder?.isOwn(address, port) !== true);
  const owners = await ownersOf(new Set(listeners.map(({ inode }) => inode)), signal);
  return listeners
    .map(({ address, port, inode }) => ({
      address,
      port,
      owner: owners.get(inode),
      forwardedAt: forwarder?.forwardedAt(port, Number(inode)) ?? "",
    }))
    .toSorted((one, other) => one.port - other.port || compare(one.address, other.address));
}

function compare(one: string, other: string): number {
  if (one === other) return 0;
  return one < other ? -1 : 1;
}
