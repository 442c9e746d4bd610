import { pino } from "pino";
import type { Logger } from "../../src/log.ts";

/** A log whose lines can be read. */
export interface LogLines {
  log: Logger;
  /** What was logged so far. */
  lines: { level: number; msg: string }[];
}

/** Keeps what is logged, `debug` included. */
export function keepLog(): LogLines {
  const lines: LogLines["lines"] = [];
  const write = (line: string) => lines.push(JSON.parse(line));
  return { log: pino({ level: "debug" }, { write }), lines };
}
