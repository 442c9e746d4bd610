import type { Dialect } from "./settings.ts";

/** The words that differ between the two hosts. */
export interface DialectNames {
  /** What variables and run files begin with. */
  prefix: "E2B" | "WRENN";
  /** The host name that leads to the platform's events. */
  eventsHost: string;
}

/** The names that `dialect` uses. */
export function dialectNames(dialect: Dialect): DialectNames {
  return dialect === "wrenn"
    ? { prefix: "WRENN", eventsHost: "events.wrenn.local" }
    : { prefix: "E2B", eventsHost: "events.e2b.local" };
}
