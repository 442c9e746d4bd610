import {
  OutputStream,
  type ProcessEvent,
  type ProcessEvent_DataEvent,
  type ProcessEvent_GapEvent,
} from "../../gen/process/process_pb.js";
import { GuestError, Interrupted, isCut, type Offsets, toCut, toGuestError } from "./errors.ts";
import { EventStream } from "./event-stream.ts";
import { Patience, type PatienceOptions } from "./patience.ts";
import { type End, toEnd } from "./process-end.ts";

/** What a program can write to. */
export type OutputName = "stdout" | "stderr" | "pty";

/** What a program wrote, or where some of it is lost. */
export type ProcessOutput =
  | {
      kind: OutputName;
      bytes: Uint8Array;
      /** How many bytes of the same output came before these. */
      offset: number;
    }
  | {
      /** The guest does not hold these bytes any more. */
      kind: "gap";
      output: OutputName;
      /** The first byte that is lost. */
      from: number;
      /** The first byte that is not. */
      to: number;
    };

/** One stream of events, however it was begun. */
export type OpenStream = (
  signal: AbortSignal,
) => AsyncIterable<{ event?: ProcessEvent | undefined }>;

/** What a process is followed with. */
export interface FollowOptions extends PatienceOptions {
  signal: AbortSignal;
  stallMs: number;
  /** How long the first answer may be waited for, in ms. */
  firstContactMs: number;
  /** The first stream. It may be opened more than once. */
  open: OpenStream;
  /** The streams after a cut. */
  reopen(pid: number, from: Offsets): OpenStream;
  /** Where it begins; absent when nobody knows: with what comes next. */
  from: Offsets | undefined;
}

const NAMES: Partial<Record<OutputStream, OutputName>> = {
  [OutputStream.STDOUT]: "stdout",
  [OutputStream.STDERR]: "stderr",
  [OutputStream.PTY]: "pty",
};

/** Follows one process over as many streams as it takes. Each byte comes once, in order. */
export class ProcessFollow {
  /** What has come so far. */
  readonly offsets: Offsets;
  readonly #options: FollowOptions;
  readonly #patience: Patience;
  readonly #pending: ProcessOutput[] = [];
  /** The outputs whose first byte says where they are. */
  readonly #unplaced: Set<OutputName>;
  #pid = 0;
  #viewerId = 0n;
  #stream: EventStream<{ event?: ProcessEvent | undefined }> | undefined;
  /** False for a guest that sends no offsets. */
  #isResumable = true;
  #end: End | undefined;

  private constructor(options: FollowOptions) {
    this.#options = options;
    this.offsets = { stdout: 0, stderr: 0, pty: 0, ...options.from };
    this.#unplaced = new Set(options.from === undefined ? ["stdout", "stderr", "pty"] : []);
    this.#patience = new Patience(options);
  }

  /** Resolves once the guest has said that the process runs. Rejects with a `GuestError`. */
  static async begin(options: FollowOptions): Promise<ProcessFollow> {
    const follow = new ProcessFollow(options);
    const patience = new Patience({ ...options, giveUpAfterMs: options.firstContactMs });
    for (;;) {
      try {
        await follow.#open(options.open);
        patience.answered();
        follow.#patience.answered();
        return follow;
      } catch (reason) {
        follow.pause();
        options.signal.throwIfAborted();
        if (!isCut(reason)) throw toGuestError(reason);
        await patience.afterCut(toCut(reason));
      }
    }
  }

  get pid(): number {
    return this.#pid;
  }

  /** Names the stream that is open to AcknowledgeOutput; 0 when it has no window. */
  get viewerId(): bigint {
    return this.#viewerId;
  }

  /** How it ended, once that was told. */
  get end(): End | undefined {
    return this.#end;
  }

  /** What comes next; `undefined` once the end was told. Throws `Interrupted` when it never is. */
  async next(): Promise<ProcessOutput | undefined> {
    for (;;) {
      const output = this.#pending.shift();
      if (output !== undefined) return output;
      if (this.#end !== undefined) return undefined;
      this.#take(await this.#nextEvent());
    }
  }

  /** Closes the stream that is open. `next` opens another one where this one was left. */
  pause(): void {
    this.#stream?.close();
    this.#stream = undefined;
  }

  async #nextEvent(): Promise<ProcessEvent["event"]> {
    for (;;) {
      try {
        if (this.#stream === undefined) await this.#reopen();
        const event = await this.#read();
        this.#patience.progressed();
        return event;
      } catch (reason) {
        this.pause();
        await this.#afterCut(reason);
      }
    }
  }

  async #reopen(): Promise<void> {
    await this.#open(this.#options.reopen(this.#pid, this.offsets));
    this.#patience.answered();
  }

  async #open(open: OpenStream): Promise<void> {
    this.#stream = new EventStream(open, this.#options);
    const event = await this.#read();
    if (event.case !== "start") {
      throw new GuestError("failed", "the guest did not say that the process runs");
    }
    this.#pid = event.value.pid;
    this.#viewerId = event.value.viewerId;
  }

  async #read(): Promise<ProcessEvent["event"]> {
    const message = await this.#stream?.next();
    return message?.event?.event ?? { case: undefined };
  }

  async #afterCut(reason: unknown): Promise<void> {
    this.#options.signal.throwIfAborted();
    const error = toGuestError(reason);
    // A viewer that fell behind is cut off so, and goes on where it was as any other.
    const isOver = !isCut(reason) && error.kind !== "exhausted";
    if (isOver || !this.#isResumable) throw new Interrupted(this.#pid, this.offsets, error);
    try {
      await this.#patience.afterCut(toCut(reason));
    } catch (failure) {
      this.#options.signal.throwIfAborted();
      throw new Interrupted(this.#pid, this.offsets, toGuestError(failure));
    }
  }

  #take(event: ProcessEvent["event"]): void {
    if (event.case === "data") this.#takeData(event.value);
    else if (event.case === "gap") this.#takeGap(event.value);
    else if (event.case === "end") {
      this.#end = toEnd(event.value);
      this.pause();
    }
  }

  #takeData({ output, offset }: ProcessEvent_DataEvent): void {
    const { case: kind, value } = output;
    if (kind === undefined) return;
    if (offset === undefined) this.#isResumable = false;
    const at = offset === undefined ? this.offsets[kind] : Number(offset);
    this.#skipTo(kind, at);
    // What has come already is left out.
    const bytes = value.subarray(this.offsets[kind] - at);
    if (bytes.length === 0) return;
    this.#pending.push({ kind, bytes, offset: this.offsets[kind] });
    this.offsets[kind] += bytes.length;
  }

  #takeGap({ stream, toOffset }: ProcessEvent_GapEvent): void {
    const output = NAMES[stream];
    if (output !== undefined) this.#skipTo(output, Number(toOffset));
  }

  /** Tells of the bytes up to `to` that have not come. */
  #skipTo(output: OutputName, to: number): void {
    const from = this.offsets[output];
    if (to > from) {
      this.offsets[output] = to;
      if (!this.#unplaced.has(output)) this.#pending.push({ kind: "gap", output, from, to });
    }
    this.#unplaced.delete(output);
  }
}
