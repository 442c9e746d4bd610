import { readFile } from "node:fs/promises";

/** A program of the guest that waits for connections from the guest itself only. */
export interface Listener {
  port: number;
  /** The loopback address it is bound to. */
  address: "127.0.0.1" | "::1";
  /** The kernel's number of the socket: another program on the same port has another. */
  inode: number;
}

/** TCP_LISTEN in the kernel's table. */
const LISTEN = "0A";
const LOOPBACKS: Record<string, Listener["address"]> = {
  "0100007F": "127.0.0.1",
  // ::ffff:127.0.0.1, which only IPv4 reaches.
  "0000000000000000FFFF00000100007F": "127.0.0.1",
  "00000000000000000000000001000000": "::1",
};

/** Reads the listeners on loopback out of a `/proc/net/tcp` or `tcp6` table. */
export function parseListeners(table: string): Listener[] {
  return table.split("\n").flatMap((line) => {
    const fields = line.trim().split(/\s+/);
    const [host = "", port = ""] = (fields[1] ?? "").split(":");
    const address = LOOPBACKS[host];
    if (fields[3] !== LISTEN || address === undefined) return [];
    return [{ port: Number.parseInt(port, 16), address, inode: Number(fields[9]) }];
  });
}

/** Every listener on loopback now. A machine without IPv6 has no second table. */
export async function scanListeners(): Promise<Listener[]> {
  const tables = await Promise.all(
    ["/proc/net/tcp", "/proc/net/tcp6"].map((path) => readFile(path, "latin1").catch(() => "")),
  );
  return tables.flatMap(parseListeners);
}
