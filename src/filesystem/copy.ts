import { read } from "node:fs";
import { writeAll } from "./batch-writer.ts";

const STEP_BYTES = 1024 * 1024;

/** Which bytes go where. */
export interface CopyRequest {
  /** The descriptor to read, from its beginning. */
  from: number;
  /** The descriptor to write. */
  to: number;
  /** How many bytes. */
  bytes: number;
  /** Where in `to` the first one goes. */
  at: number;
  /** Stops between two steps. */
  signal?: AbortSignal;
}

/** Copies bytes from one open file to another. A source that ends early is an error. */
export async function copyBytes({ from, to, bytes, at, signal }: CopyRequest): Promise<void> {
  const buffer = Buffer.allocUnsafeSlow(Math.min(STEP_BYTES, bytes));
  for (let position = 0; position < bytes; ) {
    signal?.throwIfAborted();
    const wanted = Math.min(buffer.length, bytes - position);
    const length = await readAt(from, buffer.subarray(0, wanted), position);
    if (length === 0) throw new Error("the source became shorter while it was copied");
    await writeAll(to, [buffer.subarray(0, length)], at + position);
    position += length;
  }
}

/** Reads once into `buffer`, and says how many bytes; 0 is the end of the file. */
export function readAt(fd: number, buffer: Buffer, position: number): Promise<number> {
  return new Promise((resolve, reject) => {
    read(fd, buffer, 0, buffer.length, position, (error, length) =>
      error === null ? resolve(length) : reject(error),
    );
  });
}
