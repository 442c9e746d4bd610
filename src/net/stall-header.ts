import type { IncomingHttpHeaders } from "node:http";

/** What a request says how long its peer may make no progress with, in ms. */
const STALL_HEADER = "stall-timeout-ms";
/** Less than this cannot be told from a network that is slow. */
const SHORTEST_MS = 100;

/** Says what is wrong with the header of a request; `undefined` when nothing is. */
export function badStallHeader(headers: IncomingHttpHeaders): string | undefined {
  const text = headers[STALL_HEADER];
  if (text === undefined || stallMsOf(headers) !== undefined) return undefined;
  return `Stall-Timeout-Ms: "${String(text)}" is not a whole number of milliseconds from ${SHORTEST_MS} to 9999999999`;
}

/** The stall time that a request asks for, in ms; `undefined` when it asks for none. */
export function stallMsOf(headers: IncomingHttpHeaders): number | undefined {
  const text = headers[STALL_HEADER];
  const ms = typeof text === "string" && /^\d{1,10}$/.test(text) ? Number(text) : 0;
  return ms >= SHORTEST_MS ? ms : undefined;
}
