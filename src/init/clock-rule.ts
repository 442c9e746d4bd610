import type { Logger } from "../log.ts";
import type { Clock } from "../system/clock.ts";

const BEHIND_NS = 50_000_000n;
const AHEAD_NS = 5_000_000_000n;

/**
 * Sets the clock to the host's time when it is more than 50 ms behind or more than 5 s ahead of
 * it; a smaller difference may be the way of the message. Returns by how much it was moved, and
 * nothing when it was not. A failure is only logged.
 */
export function adjustClock(clock: Clock, hostNs: bigint, log: Logger): bigint | undefined {
  const aheadNs = clock.nowNs() - hostNs;
  if (aheadNs >= -BEHIND_NS && aheadNs <= AHEAD_NS) return undefined;
  try {
    clock.setNs(hostNs);
    log.info({ aheadMs: Number(aheadNs / 1_000_000n) }, "clock set");
    return -aheadNs;
  } catch (error) {
    log.error({ err: error }, "clock not set");
    return undefined;
  }
}
