import type { Terminal } from "@xterm/xterm";
import type { Offsets } from "../client/errors.ts";
import type { OutputName, ProcessOutput } from "../client/process-follow.ts";

/** How much output may be under way to a terminal, in bytes. So long does a key's effect wait. */
export const WINDOW_BYTES = 128 * 1024;
/** How much a terminal has shown before the guest hears of it, in bytes. */
const ACKNOWLEDGE_BYTES = 32 * 1024;

const BEGINNING: Offsets = { stdout: 0, stderr: 0, pty: 0 };

/** A program's output on its way into a terminal: what has come of it, and what was shown. */
export class ShownOutput {
  readonly #came: Offsets = { ...BEGINNING };
  readonly #shown: Offsets = { ...BEGINNING };
  #unsaidBytes = 0;
  #replayUntil: number;

  /** `written`: how much of it was shown before, by another terminal. */
  constructor(written = 0) {
    this.#replayUntil = written;
  }

  /** What has come. */
  get offsets(): Offsets {
    return { ...this.#came };
  }

  /** Whether the terminal still shows what was shown before. */
  get isReplay(): boolean {
    return this.#replayUntil > 0;
  }

  /** What is before `to` does not come any more. */
  skip(output: OutputName, to: number): void {
    this.#came[output] = to;
  }

  /** Writes into `terminal`. `onShown` is told now and then what was shown. */
  async write(
    terminal: Terminal,
    { kind, bytes, offset }: Exclude<ProcessOutput, { kind: "gap" }>,
    onShown: (upTo: Offsets) => void,
  ): Promise<void> {
    const end = offset + bytes.length;
    this.#came[kind] = end;
    const parsed = new Promise<void>((resolve) => {
      terminal.write(bytes, () => {
        this.#shown[kind] = end;
        this.#parsed(end, bytes.length, onShown);
        resolve();
      });
    });
    // The window bounds what the terminal has not parsed; without one, nothing would.
    if (bytes.length > WINDOW_BYTES) await parsed;
  }

  #parsed(end: number, bytes: number, onShown: (upTo: Offsets) => void): void {
    if (end >= this.#replayUntil) this.#replayUntil = 0;
    this.#unsaidBytes += bytes;
    if (this.#unsaidBytes < ACKNOWLEDGE_BYTES) return;
    this.#unsaidBytes = 0;
    onShown({ ...this.#shown });
  }
}
