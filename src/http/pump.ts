import type { Readable } from "node:stream";

/** Takes bytes as they come. */
export interface Sink {
  /**
   * Takes a chunk for good. A promise asks to wait before the next one. What it rejects with ends
   * the pumping.
   */
  push(chunk: Uint8Array): Promise<void> | undefined;
}

/** The source failed, not the sink. */
export class SourceError extends Error {
  constructor(cause: Error) {
    super(cause.message, { cause });
    this.name = "SourceError";
  }
}

/**
 * Pushes everything that `source` has into `sink`, and no faster than that takes it. Rejects with
 * `SourceError` when the source breaks off. Aborting `signal` stops at once; the source is left
 * paused, never destroyed, as an answer may still have to go out beside it.
 */
export function pump(source: Readable, sink: Sink, signal: AbortSignal): Promise<void> {
  return new Promise((resolve, reject) => {
    const leave = () => {
      source.off("data", onData).off("end", onEnd).off("error", onBroken).off("close", onClose);
      signal.removeEventListener("abort", onAbort);
    };
    const fail = (cause: Error) => {
      leave();
      source.pause();
      reject(cause);
    };
    const onBroken = (cause: Error) => fail(new SourceError(cause));
    const onClose = () => onBroken(new Error("it broke off"));
    const onAbort = () => fail(signal.reason as Error);
    const onEnd = () => {
      leave();
      resolve();
    };
    const onData = (chunk: Uint8Array) => {
      const wait = sink.push(chunk);
      if (wait === undefined) return;
      source.pause();
      wait.then(() => void source.resume(), fail);
    };
    if (signal.aborted) {
      onAbort();
      return;
    }
    if (source.destroyed || source.errored !== null) {
      onBroken(source.errored ?? new Error("it broke off"));
      return;
    }
    source.on("data", onData).on("end", onEnd).on("error", onBroken).on("close", onClose);
    signal.addEventListener("abort", onAbort, { once: true });
  });
}
