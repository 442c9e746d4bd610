import { readdir, readFile, readlink } from "node:fs/promises";

/** The process that holds a socket. */
export interface SocketOwner {
  pid: number;
  /** Its command line, cut to 256 characters. */
  command: string;
}

const COMMAND_CHARACTERS = 256;

/**
 * Who holds each socket of `inodes`, the lowest pid of several. Sockets of processes that may not
 * be looked into are missing. Looks at every descriptor of the machine, one process at a time.
 */
export async function ownersOf(
  inodes: ReadonlySet<string>,
  signal?: AbortSignal,
): Promise<Map<string, SocketOwner>> {
  const owners = new Map<string, SocketOwner>();
  const pids = (await readdir("/proc")).filter((name) => /^\d+$/.test(name)).map(Number);
  for (const pid of pids.toSorted((one, other) => one - other)) {
    signal?.throwIfAborted();
    if (owners.size === inodes.size) break;
    for (const inode of await socketsOf(pid)) {
      if (!inodes.has(inode) || owners.has(inode)) continue;
      owners.set(inode, { pid, command: await commandOf(pid) });
    }
  }
  return owners;
}

/** The inodes of the sockets that `pid` holds; none when it has gone or may not be looked into. */
async function socketsOf(pid: number): Promise<string[]> {
  const directory = `/proc/${pid}/fd`;
  const descriptors = await readdir(directory).catch(() => []);
  const targets = await Promise.all(
    descriptors.map((fd) => readlink(`${directory}/${fd}`).catch(() => "")),
  );
  return targets.flatMap((target) => /^socket:\[(\d+)\]$/.exec(target)?.[1] ?? []);
}

async function commandOf(pid: number): Promise<string> {
  const line = await readFile(`/proc/${pid}/cmdline`, "utf8").catch(() => "");
  return Array.from(line.replaceAll("\0", " ").trim()).slice(0, COMMAND_CHARACTERS).join("");
}
