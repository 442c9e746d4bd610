import type { AgentError } from "../errors.ts";
import type { ProcessEnd } from "./exit.ts";
import { type FanOut, fallenBehind, type ProcessEvent, type Viewer } from "./fan-out.ts";
import { Output, PIPE_CHUNK_BYTES } from "./output.ts";
import type { LogCursor, OutputLog } from "./output-log.ts";

/** A viewer that is behind by this much asks its process to wait, if the log is large enough. */
const WAIT_ABOVE_BYTES = 256 * 1024;

/**
 * A view of a process that reads its log, and so knows of every byte where it belongs: it begins
 * wherever it wants, and what the log holds no more is a gap to it. It keeps nothing itself.
 */
export class LogView implements Viewer {
  /** Called when there may be something for `next()`. Set by whoever reads. */
  onReadable: () => void = () => {};
  /** A gap is told; there is no need to give it up. */
  readonly isGivenUp = false;
  readonly #log: OutputLog;
  readonly #cursor: LogCursor;
  readonly #fanOut: FanOut | undefined;
  readonly #waitAboveBytes: number;
  #pid: number | undefined;
  #end: ProcessEnd | undefined;
  #failure: AgentError | undefined;
  #isClosed = false;

  /** `fanOut` tells of news; without it the process has ended, and `push` is given its end. */
  constructor(pid: number, source: { log: OutputLog; cursor: LogCursor; fanOut?: FanOut }) {
    this.#pid = pid;
    this.#log = source.log;
    this.#cursor = source.cursor;
    this.#fanOut = source.fanOut;
    // Half of the log is left for what arrives before the process waits.
    this.#waitAboveBytes = Math.min(WAIT_ABOVE_BYTES, this.#log.capacityBytes / 2);
  }

  /** How many bytes the process has written that this viewer has not read. */
  get behindBytes(): number {
    return this.#log.end - this.#cursor.position;
  }

  /** Whether the process should wait, if it is up to this viewer. */
  get isFull(): boolean {
    return this.behindBytes >= this.#waitAboveBytes;
  }

  /** Whether a process that waits should go on. */
  get wantsMore(): boolean {
    return this.behindBytes < this.#waitAboveBytes / 4;
  }

  /** The next event, or `undefined` when there is none yet; throws what this view ends with. */
  next(): ProcessEvent | undefined {
    if (this.#isClosed) return undefined;
    if (this.#pid !== undefined) {
      const pid = this.#pid;
      this.#pid = undefined;
      return { kind: "start", pid };
    }
    return this.#nextOutput() ?? this.#last();
  }

  /** The failure of a viewer that reads too slowly, with how far behind it is. */
  fallenBehind(): AgentError {
    return fallenBehind(this.behindBytes);
  }

  /** Hears that there is something new. Output itself is read from the log. */
  push(event: ProcessEvent): void {
    if (event.kind === "end") this.#end = event.end;
    this.onReadable();
  }

  /** Ends this view with `error` after what waits already. */
  fail(error: AgentError): void {
    if (this.#end === undefined) this.#failure ??= error;
    this.onReadable();
  }

  /** Leaves the process. */
  close(): void {
    this.#isClosed = true;
    this.#fanOut?.delete(this);
  }

  #nextOutput(): ProcessEvent | undefined {
    const entry = this.#log.read(this.#cursor, PIPE_CHUNK_BYTES);
    if (entry === undefined) return undefined;
    this.#fanOut?.onTaken(this);
    const { output } = entry;
    if (entry.kind === "gap") return { kind: "gap", output, from: entry.from, to: entry.to };
    return { kind: "output", output: new Output(output, entry.bytes, entry.offset) };
  }

  #last(): ProcessEvent | undefined {
    if (this.#failure !== undefined) throw this.#failure;
    const end = this.#end;
    this.#end = undefined;
    return end === undefined ? undefined : { kind: "end", end };
  }
}
