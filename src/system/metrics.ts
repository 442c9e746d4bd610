import { readFileSync, statfsSync } from "node:fs";

/** What the guest uses, at one moment. Sizes are in bytes. */
export interface Usage {
  cpuCount: number;
  /** Of all processors together, 0 to 100 with two decimals, since the usage was last read. */
  cpuUsedPercent: number;
  memoryTotal: number;
  /** What could not be given to a new program without swapping. */
  memoryUsed: number;
  /** The page cache. */
  memoryCache: number;
  diskTotal: number;
  /** All that a user other than root cannot have. */
  diskUsed: number;
}

/** Ticks of all processors together since the machine was started. */
interface Ticks {
  total: number;
  idle: number;
  cpuCount: number;
}

/** Reads what the guest uses. It remembers the processors' ticks from one reading to the next. */
export class Metrics {
  #last: Ticks = { total: 0, idle: 0, cpuCount: 0 };

  /** Reads small kernel files at once, as a pool thread might be waiting for a frozen disk. */
  read(): Usage {
    const ticks = parseTicks(readFileSync("/proc/stat", "latin1"));
    const memory = parseMemory(readFileSync("/proc/meminfo", "latin1"));
    const disk = statfsSync("/");
    const cpuUsedPercent = busyPercent(this.#last, ticks);
    this.#last = ticks;
    return {
      cpuCount: ticks.cpuCount,
      cpuUsedPercent,
      ...memory,
      diskTotal: disk.blocks * disk.bsize,
      diskUsed: (disk.blocks - disk.bavail) * disk.bsize,
    };
  }
}

/** Bytes of memory the machine has. */
export function totalMemory(): number {
  return parseMemory(readFileSync("/proc/meminfo", "latin1")).memoryTotal;
}

/** Reads `/proc/stat`. A guest's own guests are counted in the user time already. */
export function parseTicks(stat: string): Ticks {
  const lines = stat.split("\n").filter((line) => line.startsWith("cpu"));
  const [, ...fields] = (lines[0] ?? "").split(/\s+/);
  const ticks = fields.slice(0, 8).map(Number);
  return {
    total: ticks.reduce((sum, value) => sum + value, 0),
    idle: (ticks[3] ?? 0) + (ticks[4] ?? 0),
    cpuCount: Math.max(lines.length - 1, 0),
  };
}

/** How busy the processors were between two readings; 0 when no tick has passed. */
export function busyPercent(before: Ticks, now: Ticks): number {
  const total = now.total - before.total;
  // The kernel's own count of idle time can step back by a tick.
  const busy = Math.max(total - (now.idle - before.idle), 0);
  return total <= 0 ? 0 : Math.min(Math.round((busy / total) * 10_000) / 100, 100);
}

/** Reads `/proc/meminfo`. */
export function parseMemory(
  meminfo: string,
): Pick<Usage, "memoryTotal" | "memoryUsed" | "memoryCache"> {
  const bytes = (key: string) =>
    Number(new RegExp(`^${key}:\\s+(\\d+) kB$`, "m").exec(meminfo)?.[1] ?? 0) * 1024;
  const memoryTotal = bytes("MemTotal");
  return {
    memoryTotal,
    memoryUsed: Math.max(memoryTotal - bytes("MemAvailable"), 0),
    memoryCache: bytes("Cached"),
  };
}
