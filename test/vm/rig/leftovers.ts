import { existsSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { join } from "node:path";
import { run } from "./commands.ts";

/** Where rigs keep their files: in memory. */
export const PLACE = "/dev/shm";
/** What a run of this process calls its own. */
export const PREFIX = `thaw-vm-${process.pid}-`;

/** Ends and removes what runs have left that were killed: machines, networks and files. */
export function removeLeftovers(): void {
  for (const name of readdirSync(PLACE).filter(isOrphan)) {
    const directory = join(PLACE, name);
    for (const pid of machinesOf(directory)) process.kill(pid, "SIGKILL");
    rmSync(directory, { recursive: true, force: true });
  }
  const networks = run("ip", ["netns", "list"]).split("\n");
  for (const line of networks.filter(isOrphan))
    run("ip", ["netns", "del", line.split(" ")[0] ?? ""]);
}

/** Whether the process that this is called after has gone. */
function isOrphan(name: string): boolean {
  const [, pid] = /^thaw-vm-(\d+)-/.exec(name) ?? [];
  return pid !== undefined && !existsSync(`/proc/${pid}`);
}

/** The QEMUs that have their files in `directory`. */
function machinesOf(directory: string): number[] {
  const pids = readdirSync("/proc").filter((name) => /^\d+$/.test(name));
  return pids.map(Number).filter((pid) => {
    const [program = "", ...rest] = commandOf(pid);
    return program.endsWith("qemu-system-x86_64") && rest.some((word) => word.includes(directory));
  });
}

function commandOf(pid: number): string[] {
  try {
    return readFileSync(`/proc/${pid}/cmdline`, "latin1").split("\0");
  } catch {
    // It has ended meanwhile.
    return [];
  }
}
