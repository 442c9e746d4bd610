import { isatty } from "node:tty";
import { bytesText, durationText } from "./amounts.ts";

const INTERVAL_MS = 100;
const BAR_WIDTH = 24;

/** How far a copy is: one line on stderr that is drawn anew, where that is a terminal. */
export class Progress implements Disposable {
  readonly #label: string;
  readonly #isShown: boolean;
  readonly #start = performance.now();
  #total = 0;
  #done = 0;
  /** What was there before we began. */
  #before: number | undefined;
  #drawnAt = 0;

  constructor(label: string, isQuiet: boolean) {
    this.#isShown = isatty(2) && !isQuiet;
    this.#label = label;
  }

  /** So many bytes of all are there; the first time, those that were there before. */
  to(done: number, total: number): void {
    this.#before ??= done;
    this.#done = done;
    this.#total = total;
    this.#draw();
  }

  /** Gives the line free. */
  [Symbol.dispose](): void {
    if (this.#isShown && this.#drawnAt > 0) {
      this.#write();
      process.stderr.write("\n");
    }
  }

  #draw(): void {
    const now = performance.now();
    if (!this.#isShown || now - this.#drawnAt < INTERVAL_MS) return;
    this.#drawnAt = now;
    this.#write();
  }

  #write(): void {
    const seconds = (performance.now() - this.#start) / 1_000;
    const rate = (this.#done - (this.#before ?? 0)) / Math.max(seconds, 0.001);
    const share = this.#total === 0 ? 1 : Math.min(1, this.#done / this.#total);
    const filled = Math.round(share * BAR_WIDTH);
    const bar = `${"=".repeat(filled)}${" ".repeat(BAR_WIDTH - filled)}`;
    const left = rate > 0 ? (this.#total - this.#done) / rate : 0;
    const parts = [
      `${String(Math.floor(share * 100)).padStart(3)}% [${bar}]`,
      `${bytesText(this.#done)}/${bytesText(this.#total)}`,
      `${bytesText(Math.round(rate))}/s`,
      share < 1 ? `${durationText(left * 1_000)} left` : durationText(seconds * 1_000),
    ];
    const width = process.stderr.columns || 80;
    const line = `${parts.join("  ")}  ${this.#label}`.slice(0, width - 1);
    process.stderr.write(`\r${line}\x1b[K`);
  }
}
