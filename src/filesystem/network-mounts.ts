import { statfs } from "node:fs/promises";

/**
 * What `statfs` says of file systems whose changes are made elsewhere, so that the kernel does not
 * see them: NFS, CIFS, SMB, SMB2, and whatever is behind FUSE.
 */
const NETWORK_TYPES: ReadonlySet<number> = new Set([
  0x6969, 0xff534d42, 0x517b, 0xfe534d42, 0x65735546,
]);

/** Whether the directory lies on a network file system, links followed. */
export async function isOnNetworkMount(path: string): Promise<boolean> {
  return isNetworkType((await statfs(path)).type);
}

/** Whether the type that `statfs` gives is that of a network file system. */
export function isNetworkType(type: number): boolean {
  // The kernel may give the upper half of the numbers as negative ones.
  return NETWORK_TYPES.has(type >>> 0);
}
