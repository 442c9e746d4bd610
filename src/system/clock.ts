import { callLibc } from "./libc.ts";

const CLOCK_REALTIME = 0;
const NS_PER_S = 1_000_000_000n;

/** The time of day, in nanoseconds since 1970. */
export interface Clock {
  nowNs(): bigint;
  /** Throws `SystemError` where the agent may not set the clock. */
  setNs(ns: bigint): void;
}

/** The machine's own clock. */
export const systemClock: Clock = {
  nowNs: () => {
    const time = new BigInt64Array(2);
    callLibc("int clock_gettime(int clock, _Out_ int64_t *time)", CLOCK_REALTIME, time);
    return (time[0] as bigint) * NS_PER_S + (time[1] as bigint);
  },
  setNs: (ns) => {
    const time = new BigInt64Array([ns / NS_PER_S, ns % NS_PER_S]);
    callLibc("int clock_settime(int clock, int64_t *time)", CLOCK_REALTIME, time);
  },
};

const RFC_3339 =
  /^(\d{4})-(\d\d)-(\d\d)[Tt](\d\d):(\d\d):(\d\d)(?:\.(\d+))?(?:[Zz]|([+-])(\d\d):(\d\d))$/;

/**
 * Reads an RFC 3339 time as nanoseconds since 1970, exactly; finer digits are cut off. Anything
 * that is no such time, or no day of the calendar, is `undefined`.
 */
export function parseRfc3339(text: string): bigint | undefined {
  const match = RFC_3339.exec(text);
  if (match === null) return undefined;
  const [year, month, day, hour, minute, second] = match.slice(1, 7).map(Number) as Six;
  if (hour > 23 || minute > 59 || second > 59) return undefined;
  const midnight = new Date(0);
  midnight.setUTCFullYear(year, month - 1, day);
  if (midnight.getUTCMonth() !== month - 1 || midnight.getUTCDate() !== day) return undefined;
  const [offsetHours, offsetMinutes] = [Number(match[9] ?? 0), Number(match[10] ?? 0)];
  if (offsetHours > 23 || offsetMinutes > 59) return undefined;
  const offsetS = (offsetHours * 60 + offsetMinutes) * 60 * (match[8] === "-" ? -1 : 1);
  const seconds = midnight.getTime() / 1_000 + hour * 3_600 + minute * 60 + second - offsetS;
  const fraction = BigInt((match[7] ?? "").slice(0, 9).padEnd(9, "0"));
  return BigInt(seconds) * NS_PER_S + fraction;
}

type Six = [number, number, number, number, number, number];
