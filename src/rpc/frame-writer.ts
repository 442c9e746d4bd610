import type { ServerResponse } from "node:http";
import type { Http2ServerResponse } from "node:http2";
import type { Writable } from "node:stream";
import type { ConnectError } from "@connectrpc/connect";
import type { Slices } from "../lib/slices.ts";
import { cutOff } from "../net/cut-off.ts";
import type { StallWatch, Watched } from "../net/progress.ts";
import { watchResponse } from "../net/watch-response.ts";
import type { Output } from "../process/output.ts";
import type { ProcessEvent, Viewer } from "../process/viewer.ts";
import { keepaliveEvent, toProcessEvent } from "../services/process-events.ts";
import { toConnectError } from "./errors.ts";
import { type Codec, endFrame, eventFrame, outputFrame } from "./frames.ts";
import { InFlightShare } from "./in-flight.ts";

/** How a viewer's stream is written. */
export interface FrameWriterOptions {
  codec: Codec;
  /** How long the stream may be silent, in ms, before it says that it lives. */
  keepaliveMs: number;
  /** Aborts when the peer has gone. */
  signal: AbortSignal;
  /** Finds out that the peer has stopped reading. */
  stalls: StallWatch;
  /** Shares the turns of the event loop with all other viewers. */
  slices: Slices;
}

/**
 * Writes what a viewer sees to a Connect stream, at the pace of the peer. What was read in one
 * turn of the event loop leaves in one write.
 */
export class FrameWriter {
  readonly #response: ServerResponse;
  readonly #viewer: Viewer;
  readonly #codec: Codec;
  readonly #keepalive: NodeJS.Timeout;
  readonly #stalls: StallWatch;
  readonly #slices: Slices;
  readonly #watched: Watched;
  readonly #share: InFlightShare;
  /** Output of the frames that are being put together. */
  readonly #leaving: Output[] = [];
  #writtenBytes = 0;
  #inFlightBytes = 0;
  #isScheduled = false;
  #hasEnded = false;

  constructor(response: ServerResponse, viewer: Viewer, options: FrameWriterOptions) {
    this.#response = response;
    this.#viewer = viewer;
    this.#codec = options.codec;
    this.#stalls = options.stalls;
    this.#slices = options.slices;
    this.#share = new InFlightShare(response);
    this.#watched = watchResponse({
      response,
      writtenBytes: () => this.#writtenBytes,
      onStall: (limitMs) => this.#cutOff(limitMs),
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
    this.#slices.add(() => {
      this.#isScheduled = false;
      this.#pump();
    });
  }

  #pump(): void {
    const { limitBytes } = this.#share;
    const frames: Uint8Array[] = [];
    let size = 0;
    while (!this.#hasEnded && this.#inFlightBytes + size < limitBytes) {
      const frame = this.#nextFrame();
      if (frame === undefined) break;
      frames.push(frame);
      size += frame.length;
    }
    if (size === 0) return;
    this.#keepalive.refresh();
    this.#write(frames, size);
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
    if (event.kind === "output") {
      this.#leaving.push(event.output);
      return outputFrame(event.output, this.#codec);
    }
    const frame = eventFrame(toProcessEvent(event), this.#codec);
    if (event.kind !== "end") return frame;
    this.#hasEnded = true;
    return Buffer.concat([frame, endFrame()]);
  }

  /** All frames in one system call, without copying them together. */
  #write(frames: Uint8Array[], size: number): void {
    const outputs = this.#leaving.splice(0);
    using _ = corked(this.#response);
    this.#writtenBytes += size;
    for (const frame of frames.slice(0, -1)) this.#response.write(frame);
    const last = frames.at(-1) as Uint8Array;
    if (this.#hasEnded) {
      this.#response.end(last);
      this.#release();
      return;
    }
    this.#inFlightBytes += size;
    this.#response.write(last, (reason?: Error | null) => {
      this.#inFlightBytes -= size;
      // A failed write may still be looking at its memory.
      if (reason == null) for (const output of outputs) output.release();
      this.#schedule();
    });
    this.#stalls.note(this.#watched);
  }

  /**
   * Gives up a peer that has stopped to read. What it is told cannot reach it before it reads
   * again, and by then it is told by a connection that is gone; whoever reads on sees it.
   */
  #cutOff(limitMs: number): void {
    if (this.#hasEnded) return;
    this.fail(toConnectError(this.#viewer.fallenBehind()));
    cutOff(this.#response, limitMs);
  }

  #sayAlive(): void {
    if (this.#inFlightBytes > 0) return;
    const frame = eventFrame(keepaliveEvent(), this.#codec);
    this.#write([frame], frame.length);
  }

  #release(): void {
    this.#hasEnded = true;
    clearInterval(this.#keepalive);
    this.#stalls.forget(this.#watched);
    this.#share[Symbol.dispose]();
    this.#viewer.onReadable = () => {};
    this.#viewer.close();
  }
}

/**
 * Keeps together what is written until it is disposed of. It is the connection that is corked, or
 * the HTTP/2 stream: a corked response writes its pieces one by one when it is uncorked.
 */
function corked(response: ServerResponse): Disposable {
  const corkable: Writable | null =
    (response as unknown as Http2ServerResponse).stream ?? response.socket;
  corkable?.cork();
  return { [Symbol.dispose]: () => corkable?.uncork() };
}
