import { closeSync, openSync, readSync } from "node:fs";

const LINE_BYTES = 64;

/** A number at the start of a file of the kernel's, which is made anew each time it is read. */
export class KernelNumber implements Disposable {
  readonly #line = Buffer.alloc(LINE_BYTES);
  #fd: number | undefined;

  /** Nothing is read from a file that is missing. */
  constructor(path: string) {
    try {
      this.#fd = openSync(path, "r");
    } catch {
      // A machine without what the file tells of, or a container that is not shown it.
    }
  }

  /** Whether there is such a file. */
  get exists(): boolean {
    return this.#fd !== undefined;
  }

  /** The number now; `undefined` where there is none. Takes what the kernel takes to find out. */
  read(): number | undefined {
    if (this.#fd === undefined) return undefined;
    try {
      const length = readSync(this.#fd, this.#line, 0, LINE_BYTES, 0);
      const number = Number.parseInt(this.#line.toString("latin1", 0, length), 10);
      return Number.isNaN(number) ? undefined : number;
    } catch {
      // The device behind it does not answer, as a clock that has stopped.
      return undefined;
    }
  }

  /** Again, it does nothing. */
  [Symbol.dispose](): void {
    const fd = this.#fd;
    this.#fd = undefined;
    if (fd !== undefined) closeSync(fd);
  }
}
