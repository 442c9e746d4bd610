import { type Logger, pino } from "pino";

export type { Logger };

/**
 * The agent's log: JSON lines with `timestamp` in RFC 3339, written at once (no thread, no timer:
 * the agent must be able to come to rest). `level` default `info`; `silent` writes nothing.
 */
export function createLog(level: "debug" | "info" | "warn" | "error" | "silent"): Logger {
  return pino(
    {
      level,
      base: null,
      messageKey: "message",
      timestamp: () => `,"timestamp":"${new Date().toISOString()}"`,
      formatters: { level: (label) => ({ level: label }) },
    },
    pino.destination({ fd: 2, sync: true }),
  );
}
