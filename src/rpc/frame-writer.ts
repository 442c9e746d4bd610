import type { ServerResponse } from "node:http";
import type { ConnectError } from "@connectrpc/connect";
import { type StallWatch, type Watched, watchResponse } from "../net/progress.ts";
import type { ProcessEvent, Subscription } from "../process/fan-out.ts";
import { keepaliveEvent, toProcessEvent } from "../services/process.ts";
import { toConnectError } from "./errors.ts";
import { type Codec, endFrame, eventFrame, outputFrame } from "./frames.ts";

/** The most that is handed to the connection and not yet taken by the machine. */
const IN_FLIGHT_BYTES = 512 * 1024;

/** How a viewer's stream is written. */
export interface FrameWriterOptions {
  codec: Codec;
  /** How long the stream may be silent, in ms, before it says that it lives. */
  keepaliveMs: number;
  /** Aborts when the peer has gone. */
  signal: AbortSignal;
  /** Finds out that the peer has stopped reading. */
  stalls: StallWatch;
}

/**
 * Writes what a viewer sees to a Connect stream, at the pace of the peer. What was read in one
 * turn of the event loop leaves in one write.
 */
export class FrameWriter {
  readonly #response: ServerResponse;
  readonly #viewer: Subscription;
  readonly #codec: Codec;
  readonly #keepalive: NodeJS.Timeout;
  readonly #stalls: StallWatch;
  readonly #watched: Watched;
  #writtenBytes = 0;
  #inFlightBytes = 0;
  #isScheduled = false;
  #hasEnded = false;

  constructor(response: ServerResponse, viewer: Subscription, options: FrameWriterOptions) {
    this.#response = response;
    this.#viewer = viewer;
    this.#codec = options.codec;
    this.#stalls = options.stalls;
    this.#watched = watchResponse({
      response,
      writtenBytes: () => this.#writtenBytes,
      onStall: () => this.#cutOff(),
    });
    this.#keepalive = setInterval(() => this.#sayAlive(), options.keepaliveMs);
    viewer.onReadable = () => this.#schedule();
    response.once("close", () => this.#release());
    if (options.signal.aborted) this.#release();
    else this.#pump();
  }

  /** Ends the stream with `error` before anything that still waits. */
  fail(error: ConnectError): void {
    if (this.#hasEnded) return;
    this.#hasEnded = true;
    this.#response.end(endFrame(error));
    this.#release();
  }

  #schedule(): void {
    if (this.#isScheduled || this.#hasEnded) return;
    this.#isScheduled = true;
    setImmediate(() => {
      this.#isScheduled = false;
      this.#pump();
    });
  }

  #pump(): void {
    const frames: Uint8Array[] = [];
    let size = 0;
    while (!this.#hasEnded && this.#inFlightBytes + size < IN_FLIGHT_BYTES) {
      const frame = this.#nextFrame();
      if (frame === undefined) break;
      frames.push(frame);
      size += frame.length;
    }
    if (size === 0) return;
    this.#keepalive.refresh();
    this.#write(frames.length === 1 ? (frames[0] as Uint8Array) : Buffer.concat(frames, size));
  }

  #nextFrame(): Uint8Array | undefined {
    try {
      const event = this.#viewer.next();
      return event === undefined ? undefined : this.#frameOf(event);
    } catch (reason) {
      this.#hasEnded = true;
      return endFrame(toConnectError(reason));
    }
  }

  #frameOf(event: ProcessEvent): Uint8Array {
    if (event.kind === "output") return outputFrame(event.output, this.#codec);
    const frame = eventFrame(toProcessEvent(event), this.#codec);
    if (event.kind !== "end") return frame;
    this.#hasEnded = true;
    return Buffer.concat([frame, endFrame()]);
  }

  #write(bytes: Uint8Array): void {
    if (this.#hasEnded) {
      this.#response.end(bytes);
      this.#release();
      return;
    }
    this.#writtenBytes += bytes.length;
    this.#inFlightBytes += bytes.length;
    this.#response.write(bytes, () => {
      this.#inFlightBytes -= bytes.length;
      this.#schedule();
    });
    this.#stalls.note(this.#watched);
  }

  /**
   * Gives up a peer that has stopped to read. What it is told cannot reach it before it reads
   * again, and by then it is told by a connection that is gone; whoever reads on sees it.
   */
  #cutOff(): void {
    if (this.#hasEnded) return;
    this.fail(toConnectError(this.#viewer.fallenBehind()));
    this.#response.destroy();
  }

  #sayAlive(): void {
    if (this.#inFlightBytes === 0) this.#write(eventFrame(keepaliveEvent(), this.#codec));
  }

  #release(): void {
    this.#hasEnded = true;
    clearInterval(this.#keepalive);
    this.#stalls.forget(this.#watched);
    this.#viewer.onReadable = () => {};
    this.#viewer.close();
  }
}
