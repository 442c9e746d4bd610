import { readFileSync } from "node:fs";

const PATH = "/sys/class/rtc/rtc0/since_epoch";

/**
 * The time of the machine's clock, in seconds since 1970. In a restored machine it is the host's
 * time, where the kernel's own time still is that of the snapshot. `undefined` where there is none.
 */
export function hardwareClockS(): number | undefined {
  try {
    const seconds = Number(readFileSync(PATH, "latin1"));
    return Number.isFinite(seconds) ? seconds : undefined;
  } catch {
    // Containers and small hypervisors have no such clock.
    return undefined;
  }
}
