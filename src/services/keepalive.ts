import { AgentError } from "../errors.ts";

const HEADER = "Keepalive-Ping-Interval";
const DEFAULT_S = 90;
/** What a timer of Node can wait; more would fire at once. */
const LONGEST_MS = 2 ** 31 - 1;

/**
 * After how many milliseconds without an event a stream sends a sign of life: the caller's
 * `Keepalive-Ping-Interval` in whole seconds, 90 seconds when absent. Throws `invalid` for
 * anything but a positive whole number; more than 24 days count as 24 days.
 */
export function keepaliveIntervalMs(headers: Headers): number {
  const text = headers.get(HEADER);
  if (text === null) return DEFAULT_S * 1000;
  const seconds = /^\d+$/.test(text) ? Number(text) : 0;
  if (seconds > 0) return Math.min(seconds * 1000, LONGEST_MS);
  throw new AgentError(
    "invalid",
    `${HEADER} is not a positive whole number of seconds: ${JSON.stringify(text)}`,
  );
}
