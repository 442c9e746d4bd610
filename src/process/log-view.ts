import type { AgentError } from "../errors.ts";
import type { FanOut } from "./fan-out.ts";
import type { LogCursor, SpilledEntry } from "./log-entry.ts";
import { Output, PIPE_CHUNK_BYTES } from "./output.ts";
import type { OutputLog } from "./output-log.ts";
import type { ViewWindow, ViewWindows } from "./view-window.ts";
import {
  type EndEvent,
  fallenBehind,
  type ProcessEvent,
  type Viewer,
  WAIT_ABOVE_BYTES,
} from "./viewer.ts";

/** What a view is of. */
export interface ViewSource {
  process: { readonly pid: number; readonly tag: string | undefined };
  log: OutputLog;
  /** Where to begin. */
  cursor: LogCursor;
  /** Tells of news; without it the process has ended, and `push` is given its end. */
  fanOut?: FanOut | undefined;
  /** Bounds what is under way, in bytes; 0 and absent: nothing does. */
  windowBytes?: number | undefined;
  windows?: ViewWindows | undefined;
  endsAtExit?: boolean | undefined;
  isBystander?: boolean | undefined;
  /** Whether it is shown offsets, and so more of the end. */
  withOffsets?: boolean | undefined;
}

/** Output that was in the file. */
interface Loaded {
  entry: SpilledEntry;
  bytes: Buffer;
}

/**
 * A view of a process that reads its log, and so knows of every byte where it belongs: it begins
 * wherever it wants, and what the log holds no more is a gap to it. It keeps nothing itself.
 */
export class LogView implements Viewer {
  /** Called when there may be something for `next()`. Set by whoever reads. */
  onReadable: () => void = () => {};
  readonly #log: OutputLog;
  readonly #cursor: LogCursor;
  readonly #fanOut: FanOut | undefined;
  readonly #window: ViewWindow | undefined;
  readonly #waitAboveBytes: number;
  readonly endsAtExit: boolean;
  readonly wantsFacts: boolean;
  readonly #isBystander: boolean;
  #pid: number | undefined;
  #end: EndEvent | undefined;
  #hasTold = false;
  #isLoading = false;
  #loaded: Loaded | undefined;
  #failure: AgentError | undefined;
  #isClosed = false;

  constructor({ process, log, cursor, fanOut, windowBytes = 0, windows, ...asked }: ViewSource) {
    this.endsAtExit = asked.endsAtExit === true;
    this.#isBystander = asked.isBystander === true;
    this.wantsFacts = this.endsAtExit || asked.withOffsets === true;
    this.#pid = process.pid;
    this.#log = log;
    this.#cursor = cursor;
    this.#fanOut = fanOut;
    log.enter();
    if (windowBytes > 0) {
      const { pid, tag } = process;
      const isBehind = () => !this.#isClosed && this.behindBytes > 0;
      const onChange = () => this.#onWindowChanged();
      this.#window = windows?.open(windowBytes, { pid, tag, cursor, isBehind, onChange });
    }
    // Half of the log is left for what arrives before the process waits. Who shows output slowly
    // would show what waits here before anything that a key of theirs brings about.
    const most = this.#window?.bytes ?? WAIT_ABOVE_BYTES;
    this.#waitAboveBytes = Math.min(WAIT_ABOVE_BYTES, most, log.capacityBytes / 2);
  }

  /** How many bytes the process has written that this viewer has not read. */
  get behindBytes(): number {
    const { position } = this.#cursor;
    if (position >= (this.#end?.until?.position ?? Number.POSITIVE_INFINITY)) return 0;
    return this.#log.end - position;
  }

  /** A gap is told, so that who is far behind is waited for, unless its window stays closed. */
  get isWaitedFor(): boolean {
    return !this.#isBystander && this.#window?.isSilent !== true;
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
    if (this.#pid !== undefined) return this.#start(this.#pid);
    if (this.#isHeldBack()) return undefined;
    return this.#nextOutput() ?? (this.#isLoading ? undefined : this.#last());
  }

  /** The failure of a viewer that reads too slowly, with how far behind it is. */
  fallenBehind(): AgentError {
    return fallenBehind(this.behindBytes);
  }

  /** Hears that there is something new. Output itself is read from the log. */
  push(event: ProcessEvent): void {
    if (event.kind === "end" && !this.#hasTold) this.#end ??= event;
    this.onReadable();
  }

  /** Ends this view with `error` after what waits already. */
  fail(error: AgentError): void {
    if (this.#end === undefined) this.#failure ??= error;
    this.onReadable();
  }

  /** Leaves the process. */
  close(): void {
    if (!this.#isClosed) this.#log.leave();
    this.#isClosed = true;
    this.#loaded = undefined;
    this.#window?.close();
    this.#fanOut?.delete(this);
  }

  #start(pid: number): ProcessEvent {
    this.#pid = undefined;
    if (this.#window === undefined) return { kind: "start", pid };
    return { kind: "start", pid, viewerId: this.#window.id };
  }

  /** Whether there is output that the window does not let through. What fails waits for nobody. */
  #isHeldBack(): boolean {
    if (this.#window?.room !== 0 || this.behindBytes === 0) return false;
    if (this.#failure !== undefined) throw this.#failure;
    this.#window.onClosed();
    return true;
  }

  #nextOutput(): ProcessEvent | undefined {
    if (this.#isLoading) return undefined;
    if (this.#loaded !== undefined) return this.#takeLoaded(this.#loaded);
    const most = Math.min(PIPE_CHUNK_BYTES, this.#window?.room ?? PIPE_CHUNK_BYTES);
    const entry = this.#log.read(this.#cursor, most, this.#end?.until);
    if (entry === undefined) return undefined;
    if (entry.kind === "spilled") {
      void this.#load(entry);
      return undefined;
    }
    this.#fanOut?.onTaken(this);
    const { output } = entry;
    if (entry.kind === "chunk") {
      return { kind: "output", output: new Output(output, entry.bytes, entry.offset) };
    }
    const { from, to } = entry;
    this.#window?.onGap(output, from, to);
    return { kind: "gap", output, from, to };
  }

  /** From disk, while others go on. What is gone by then is a gap at the next look. */
  async #load(entry: SpilledEntry): Promise<void> {
    this.#isLoading = true;
    const bytes = await this.#log.load(entry);
    this.#isLoading = false;
    if (this.#isClosed) return;
    if (bytes !== undefined) this.#loaded = { entry, bytes };
    this.onReadable();
  }

  #takeLoaded({ entry, bytes }: Loaded): ProcessEvent {
    const { output, offset, position } = entry;
    this.#loaded = undefined;
    this.#cursor.position = position + bytes.length;
    this.#cursor.offsets[output] = offset + bytes.length;
    this.#fanOut?.onTaken(this);
    return { kind: "output", output: new Output(output, bytes, offset) };
  }

  #onWindowChanged(): void {
    if (this.#window?.isSilent === true) this.#fanOut?.reconsider();
    else this.onReadable();
  }

  #last(): ProcessEvent | undefined {
    if (this.#failure !== undefined) throw this.#failure;
    if (this.#end === undefined || this.#hasTold) return undefined;
    const { kind, end, facts } = this.#end;
    this.#hasTold = true;
    return this.wantsFacts && facts !== undefined ? { kind, end, facts } : { kind, end };
  }
}
