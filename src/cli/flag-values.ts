import { isIPv6 } from "node:net";
import { UsageError } from "./usage-error.ts";

const LAST_PORT = 65_535;
const MOST = 1_000_000;

const UNITS_MS: Record<string, number> = { ms: 1, s: 1_000, m: 60_000, h: 3_600_000 };
/** Well below what Node's timers can wait. */
const LONGEST_MS = 24 * 3_600_000;

/** Complains about the value of a flag in one form: which flag, which value, what would do. */
export function badValue(flag: string, value: string, wanted: string, cause?: unknown): UsageError {
  return new UsageError(`--${flag}: "${value}" is not ${wanted}`, { cause });
}

/** A port; 0 picks a free one. */
export function toPort(flag: string, value: string): number {
  const port = /^\d{1,5}$/.test(value) ? Number(value) : Number.NaN;
  if (!(port <= LAST_PORT)) throw badValue(flag, value, "a port from 0 to 65535");
  return port;
}

/** A whole number from 1 to a million. */
export function toCount(flag: string, value: string): number {
  const count = /^\d{1,7}$/.test(value) ? Number(value) : 0;
  if (count >= 1 && count <= MOST) return count;
  throw badValue(flag, value, "a whole number from 1 to 1000000");
}

/** A duration in ms from a number and its unit, as in `10s`, `1.5s`, `500ms`, `2m`, `1h`. */
export function toDurationMs(flag: string, value: string): number {
  const [, number, unit] = /^(\d+(?:\.\d+)?)(ms|s|m|h)$/.exec(value) ?? [];
  const durationMs = Math.round(Number(number) * (UNITS_MS[unit ?? ""] ?? Number.NaN));
  if (durationMs >= 1 && durationMs <= LONGEST_MS) return durationMs;
  throw badValue(flag, value, 'a duration such as "10s" or "500ms", up to 24h');
}

/** `HOST:PORT`, `[IPV6]:PORT`, or a host alone. */
export function toAddress(flag: string, value: string): { host: string; port: number | undefined } {
  // An IPv6 address alone has colons of its own.
  if (isIPv6(value)) return { host: value, port: undefined };
  const [, bracketed, plain, port] = /^(?:\[(.+)\]|([^:[\]\s]+))(?::(\d{1,5}))?$/.exec(value) ?? [];
  const host = plain ?? (isIPv6(bracketed ?? "") ? bracketed : undefined);
  if (host === undefined || Number(port ?? 0) > LAST_PORT) {
    throw badValue(flag, value, "HOST:PORT or HOST");
  }
  return { host, port: port === undefined ? undefined : Number(port) };
}

/** One of a few words. */
export function toChoice<T extends string>(flag: string, value: string, choices: readonly T[]): T {
  const found = choices.find((choice) => choice === value);
  if (found === undefined) throw badValue(flag, value, `one of ${choices.join(", ")}`);
  return found;
}

/** An http:// URL without its last slash. */
export function toHttpUrl(flag: string, value: string): string {
  const url = URL.canParse(value) ? new URL(value) : undefined;
  if (url?.protocol !== "http:") throw badValue(flag, value, "an http:// URL");
  return url.href.replace(/\/+$/, "");
}

/** An absolute path. */
export function toAbsolutePath(flag: string, value: string): string {
  if (!value.startsWith("/")) throw badValue(flag, value, "an absolute path");
  return value;
}
