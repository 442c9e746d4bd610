import { type Logger, pino } from "pino";
import { LineWriter, type SendNow } from "./lib/line-writer.ts";

export type { Logger };

/** What waits while the output is held; more than that and the oldest lines are dropped. */
const HELD_LIMIT_BYTES = 1024 * 1024;

/** For how long the last words of a process wait to be read, in ms. */
const LAST_WORDS_MS = 500;

const stderr = new LineWriter({ fd: 2, describeDropped });

/**
 * The agent's log: JSON lines with `timestamp` in RFC 3339, written to stderr at once (no thread, and
 * a timer only while nobody reads them: the agent must be able to come to rest). Whoever does not read
 * them never holds up the agent. `level` default `info`; `silent` writes nothing.
 */
export function createLog(level: "debug" | "info" | "warn" | "error" | "silent"): Logger {
  return pino(
    {
      level,
      base: null,
      messageKey: "message",
      timestamp: () => `,"timestamp":"${now()}"`,
      formatters: { level: (label) => ({ level: label }) },
    },
    new LogOutput(
      (line) => stderr.write(line),
      () => stderr.awake,
    ),
  );
}

/** Has stderr, where that is a socket, written to by `sendNow`, so that nobody waits for its reader. */
export function sendLogBy(sendNow: SendNow): void {
  stderr.sendNow = sendNow;
}

/** Writes `text` to stderr after all that waits there, and waits for up to 500 ms until it is taken. */
export function writeLastWords(text = ""): void {
  stderr.write(text);
  stderr.flushFor(LAST_WORDS_MS);
}

function describeDropped(count: number): string {
  const message = "lines of this log were dropped, as nobody has read them";
  return `${JSON.stringify({ level: "warn", timestamp: now(), dropped: count, message })}\n`;
}

function now(): string {
  return new Date().toISOString();
}

/** Where the lines of `log` go; `undefined` for a log that `createLog` has not made. */
export function outputOf(log: Logger): LogOutput | undefined {
  const output = (log as unknown as Record<symbol, unknown>)[pino.symbols.streamSym];
  return output instanceof LogOutput ? output : undefined;
}

/** Hands lines on, or keeps them while writing one might never return. */
export class LogOutput {
  readonly #write: (line: string) => void;
  readonly #awake: () => string | undefined;
  #copy: ((line: string) => void) | undefined;
  #held: string[] | undefined;
  #heldBytes = 0;

  /** `awake`: what wakes the agent because of lines that were written, in words. */
  constructor(write: (line: string) => void, awake: () => string | undefined = () => undefined) {
    this.#write = write;
    this.#awake = awake;
  }

  /** What wakes the agent, in words; `undefined` while nothing does. */
  get awake(): string | undefined {
    return this.#awake();
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
