import { type Logger, pino } from "pino";

export type { Logger };

/** What waits while the output is held; more than that and the oldest lines are dropped. */
const HELD_LIMIT_BYTES = 1024 * 1024;

/**
 * The agent's log: JSON lines with `timestamp` in RFC 3339, written at once (no thread, no timer:
 * the agent must be able to come to rest). `level` default `info`; `silent` writes nothing.
 */
export function createLog(level: "debug" | "info" | "warn" | "error" | "silent"): Logger {
  const stderr = pino.destination({ fd: 2, sync: true });
  // A log that cannot be written, to a full disk or a terminal that is gone, ends nothing.
  stderr.on("error", () => {});
  return pino(
    {
      level,
      base: null,
      messageKey: "message",
      timestamp: () => `,"timestamp":"${new Date().toISOString()}"`,
      formatters: { level: (label) => ({ level: label }) },
    },
    new LogOutput((line) => stderr.write(line)),
  );
}

/** Where the lines of `log` go; `undefined` for a log that `createLog` has not made. */
export function outputOf(log: Logger): LogOutput | undefined {
  const output = (log as unknown as Record<symbol, unknown>)[pino.symbols.streamSym];
  return output instanceof LogOutput ? output : undefined;
}

/** Hands lines on, or keeps them while writing one might never return. */
export class LogOutput {
  readonly #write: (line: string) => void;
  #copy: ((line: string) => void) | undefined;
  #held: string[] | undefined;
  #heldBytes = 0;

  constructor(write: (line: string) => void) {
    this.#write = write;
  }

  /** Takes one line; pino calls it. */
  write(line: string): void {
    this.#copy?.(line);
    if (this.#held === undefined) {
      this.#write(line);
      return;
    }
    this.#held.push(line);
    this.#heldBytes += line.length;
    while (this.#heldBytes > HELD_LIMIT_BYTES) this.#heldBytes -= this.#held.shift()?.length ?? 0;
  }

  /** Gives every further line to `copy` too, at once, also while the output is held. */
  copyTo(copy: ((line: string) => void) | undefined): void {
    this.#copy = copy;
  }

  /** Keeps lines, up to 1 MiB of the newest, until `release`. */
  hold(): void {
    this.#held ??= [];
  }

  /** Writes what was kept, and each further line at once. */
  release(): void {
    const held = this.#held ?? [];
    this.#held = undefined;
    this.#heldBytes = 0;
    for (const line of held) this.#write(line);
  }
}
