import { closeSync, constants, openSync } from "node:fs";
import type { Socket } from "node:net";
import { adoptDescriptor } from "./descriptors.ts";
import { callLibc, libcFunction } from "./libc.ts";

/** The kernel cuts its records to less. */
const RECORD_BYTES = 8_192;
const SEEK_END = 2;
/** A flood of records is left for the next turn. */
const RECORDS_AT_ONCE = 1_000;
const PATH = "/dev/kmsg";

/**
 * What the kernel has to say, from now on. Costs nothing while it says nothing: the event loop is
 * woken by each record.
 */
export class KernelLog {
  readonly #fd: number;
  readonly #buffer = Buffer.alloc(RECORD_BYTES);
  #wakeup: Socket | undefined;
  #isClosed = false;

  /** `onRecord` is called when there is something to `drain`. Throws where it cannot be read. */
  constructor(onRecord: () => void) {
    this.#fd = openAtEnd();
    this.#listen(onRecord);
  }

  /**
   * The records since the last time, oldest first, as in `6,339,5140900,-;a line`: 8 times the
   * facility plus the level, number, time, and the text. Programs cannot write as facility 0.
   */
  drain(): string[] {
    const records: string[] = [];
    const read = libcFunction("int64_t read(int fd, _Out_ uint8_t *buffer, uint64_t length)");
    // The first failure may only say that records were overwritten before they were read.
    for (let failures = 0; failures < 2 && records.length < RECORDS_AT_ONCE; ) {
      const length = Number(read(this.#fd, this.#buffer, RECORD_BYTES));
      if (length > 0) records.push(this.#buffer.toString("latin1", 0, length));
      else failures += 1;
    }
    return records;
  }

  /** Stops to listen. Again, it does nothing. */
  close(): void {
    if (this.#isClosed) return;
    this.#isClosed = true;
    this.#wakeup?.destroy();
    closeSync(this.#fd);
  }

  /** By a descriptor of its own, as reading takes a record away. */
  #listen(onRecord: () => void): void {
    const fd = openAtEnd();
    const onBytes = () => {
      onRecord();
      return true;
    };
    const adopted = adoptDescriptor(fd, { buffer: Buffer.alloc(RECORD_BYTES), onBytes });
    closeSync(fd);
    this.#wakeup = adopted.socket;
    this.#wakeup.unref();
    this.#wakeup.on("error", () => {
      // Records were overwritten before they were read.
      this.#wakeup?.destroy();
      if (this.#isClosed) return;
      this.#listen(onRecord);
      onRecord();
    });
    this.#wakeup.resume();
  }
}

function openAtEnd(): number {
  const fd = openSync(PATH, constants.O_RDONLY | constants.O_NONBLOCK);
  try {
    callLibc("int64_t lseek(int fd, int64_t offset, int whence)", fd, 0, SEEK_END);
  } catch (reason) {
    closeSync(fd);
    throw reason;
  }
  return fd;
}
