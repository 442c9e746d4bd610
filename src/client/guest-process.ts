import { durationFromMs } from "@bufbuild/protobuf/wkt";
import type { Client } from "@connectrpc/connect";
import type { Process } from "../../gen/process/process_pb.js";
import { Lock } from "../lib/lock.ts";
import { Acknowledgement } from "./acknowledgement.ts";
import { asGuestError, GuestError, type Offsets } from "./errors.ts";
import { type PatienceOptions, untilAnswered } from "./patience.ts";
import type { End, Holder } from "./process-end.ts";
import type { OutputName, ProcessFollow, ProcessOutput } from "./process-follow.ts";
import { ProcessInput } from "./process-input.ts";
import { signalNumber } from "./signals.ts";

/** SIGKILL and SIGTERM, which envd's contract has, and which may be sent twice. */
const ENDING = [9, 15];
/** A call that is not answered in this time is made again, in ms. */
const ATTEMPT_MS = 10_000;

/** What a handle is made of. */
export interface HandleParts {
  unary: Client<typeof Process>;
  follow: ProcessFollow;
  /** Leaves the process. */
  leaving: AbortController;
  /** Aborts when the process is left, by the handle or by its caller. */
  signal: AbortSignal;
  giveUpAfterMs: number | undefined;
  hasTerminal: boolean;
  /** Acknowledges what the caller has consumed whenever it is so much; 0 never does. */
  acknowledgeBytes: number;
  /** Whether the caller says itself what was shown. */
  hasWindow: boolean;
}

/**
 * A program of the guest. What it writes and what it is given goes on across cut connections,
 * proxies and restores, without a byte lost or doubled.
 */
export class GuestProcess implements AsyncIterable<ProcessOutput>, Disposable {
  readonly #parts: HandleParts;
  readonly #input: ProcessInput;
  /** For the process's log and for this viewer's window: one must not take the other's place. */
  readonly #consumed: Acknowledgement;
  readonly #shown: Acknowledgement;
  readonly #resizes = new Lock();
  #acknowledgedBytes: number;
  #hasTerminal: boolean;

  constructor(parts: HandleParts) {
    const { unary, follow, signal, giveUpAfterMs } = parts;
    this.#parts = parts;
    this.#hasTerminal = parts.hasTerminal;
    this.#consumed = new Acknowledgement(unary, signal);
    this.#shown = new Acknowledgement(unary, signal);
    this.#acknowledgedBytes = sum(follow.offsets);
    this.#input = new ProcessInput({
      client: unary,
      pid: follow.pid,
      signal,
      giveUpAfterMs,
      hasTerminal: () => this.#hasTerminal || follow.offsets.pty > 0,
    });
  }

  /** The pid of the command itself. */
  get pid(): number {
    return this.#parts.follow.pid;
  }

  /** How much of its output has come, or is known to be lost. */
  get offsets(): Offsets {
    return { ...this.#parts.follow.offsets };
  }

  /**
   * What it writes, until its end. Leaving the loop closes the stream; another loop goes on where
   * this one was left. Throws `Interrupted` when the end is not told and cannot be asked for.
   */
  async *[Symbol.asyncIterator](): AsyncIterator<ProcessOutput> {
    const { follow } = this.#parts;
    try {
      for (;;) {
        this.#acknowledgeConsumed();
        const output = await follow.next();
        if (output === undefined) return;
        yield output;
      }
    } finally {
      follow.pause();
    }
  }

  /** How it ended. Takes what it still writes and throws it away. Throws `Interrupted`. */
  async wait(): Promise<End> {
    for await (const _ of this) {
      // What nobody reads would hold the program up.
    }
    const { end } = this.#parts.follow;
    if (end === undefined) throw new GuestError("failed", `process ${this.pid}: no end was told`);
    return end;
  }

  /**
   * Everything it still writes as text, and how it ended. Throws `exhausted` when a part of it is
   * lost.
   */
  async text(): Promise<{ stdout: string; stderr: string; pty: string } & End> {
    const parts: Record<OutputName, Uint8Array[]> = { stdout: [], stderr: [], pty: [] };
    for await (const output of this) {
      if (output.kind === "gap") throw lost(output);
      parts[output.kind].push(output.bytes);
    }
    const end = await this.wait();
    const { stdout, stderr, pty } = parts;
    return { ...end, stdout: decode(stdout), stderr: decode(stderr), pty: decode(pty) };
  }

  /**
   * Writes to its stdin or terminal, after what was written before. Resolves when the guest's kernel
   * has taken it; repeated until then, and taken once.
   */
  sendInput(bytes: Uint8Array): Promise<void> {
    return this.#input.write(bytes);
  }

  /** Ends its stdin, after what was written before. */
  closeStdin(): Promise<void> {
    return this.#input.close();
  }

  /** Gives its terminal another size. */
  async resize(size: { cols: number; rows: number }): Promise<void> {
    const { unary, signal } = this.#parts;
    // One after the other, so that the last one wins.
    using _turn = await this.#resizes.acquire(signal);
    const request = { process: this.#selector, pty: { size } };
    await untilAnswered((options) => unary.update(request, options), this.#repeat(0));
  }

  /**
   * Sends it a signal, by name or number. Default SIGTERM. `scope`: all that it has started as well,
   * wherever that has moved to. `graceMs`, at most 60,000: sends SIGKILL to what is left then. Those
   * two tell who is left.
   */
  async kill(
    signal: string | number = "SIGTERM",
    { scope = false, graceMs }: { scope?: boolean; graceMs?: number } = {},
  ): Promise<{ survivors: Holder[] }> {
    const number = signalNumber(signal);
    const isEnding = ENDING.includes(number);
    const request = {
      process: this.#selector,
      ...(isEnding ? { signal: number } : { number }),
      scope,
      ...(graceMs !== undefined && { grace: durationFromMs(graceMs) }),
    };
    const { unary } = this.#parts;
    const answer = isEnding
      ? await untilAnswered((options) => unary.sendSignal(request, options), this.#repeat(graceMs))
      : await asGuestError(() => unary.sendSignal(request, { signal: this.#parts.signal }));
    return { survivors: answer.survivors.map(({ pid, command }) => ({ pid, command })) };
  }

  /**
   * All before `upTo` was shown: with `windowBytes` so much more may come, and without it the
   * process's log need not keep it for a process that waits.
   */
  acknowledge(upTo: Offsets): void {
    const { follow, hasWindow } = this.#parts;
    if (hasWindow) this.#shown.send(this.pid, upTo, follow.viewerId);
    else this.#consumed.send(this.pid, upTo);
  }

  /** Leaves it; it lives on. What waits for it rejects with `canceled`. */
  disconnect(): void {
    const { leaving, follow } = this.#parts;
    leaving.abort(new GuestError("canceled", `process ${this.pid} was left`));
    follow.pause();
  }

  /** The same. */
  [Symbol.dispose](): void {
    this.disconnect();
  }

  #acknowledgeConsumed(): void {
    const { follow, acknowledgeBytes } = this.#parts;
    const consumed = sum(follow.offsets);
    if (acknowledgeBytes === 0 || consumed - this.#acknowledgedBytes < acknowledgeBytes) return;
    this.#acknowledgedBytes = consumed;
    this.#consumed.send(this.pid, follow.offsets);
  }

  #repeat(graceMs = 0): PatienceOptions & { attemptMs: number } {
    const { signal, giveUpAfterMs } = this.#parts;
    return { attemptMs: ATTEMPT_MS + graceMs, signal, giveUpAfterMs };
  }

  get #selector() {
    return { selector: { case: "pid" as const, value: this.pid } };
  }
}

function lost({ output, from, to }: ProcessOutput & { kind: "gap" }): GuestError {
  const advice = "start it with a larger logBytes, with spillBytes or with whenFull: wait";
  return new GuestError("exhausted", `bytes ${from} to ${to} of its ${output} are lost: ${advice}`);
}

function sum({ stdout, stderr, pty }: Offsets): number {
  return stdout + stderr + pty;
}

function decode(parts: readonly Uint8Array[]): string {
  const decoder = new TextDecoder();
  return parts.map((part) => decoder.decode(part, { stream: true })).join("") + decoder.decode();
}
