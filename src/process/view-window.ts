import { AgentError } from "../errors.ts";
import type { Selector } from "./identity.ts";
import type { LogCursor } from "./log-entry.ts";
import { type Offsets, OUTPUT_KINDS } from "./offsets.ts";
import type { OutputKind } from "./output.ts";

/** The smallest window: a screen full of text must fit, and a chunk be worth its frame. */
const LEAST_WINDOW_BYTES = 16 * 1024;

/** What is looked at for progress, as the stall watch of the connections sees it. */
interface Watched {
  isWaiting(): boolean;
  taken(): number;
  onStall(): void;
}

/** Finds out that a viewer has acknowledged nothing for the stall time. */
export interface WindowWatch {
  /** Looks at `watched` until it waits no more. Again, it does nothing. */
  note(watched: Watched): void;
  /** Stops to look at it. */
  forget(watched: Watched): void;
}

/** Whose window it is, and who waits at it. */
export interface WindowOwner {
  pid: number;
  tag: string | undefined;
  /** How far the viewer has been sent. */
  cursor: LogCursor;
  /** Whether there is output it has not been sent. */
  isBehind(): boolean;
  /** Told that the window has opened, or that nobody should wait for this viewer any more. */
  onChange(): void;
}

/** How much of a viewer's output may be under way: what was sent and is not acknowledged. */
export class ViewWindow {
  /** Names the viewer to those who acknowledge. */
  readonly id: number;
  readonly bytes: number;
  readonly owner: WindowOwner;
  readonly #windows: ViewWindows;
  readonly #acknowledged: Offsets;
  /** Gaps that were told and lie behind what is acknowledged: nothing of them is under way. */
  #gaps: { output: OutputKind; from: number; to: number }[] = [];
  #acknowledgements = 0;
  #isSilent = false;
  readonly #watched: Watched = {
    isWaiting: () => this.room === 0 && this.owner.isBehind(),
    taken: () => this.#acknowledgements,
    onStall: () => {
      this.#isSilent = true;
      this.owner.onChange();
    },
  };

  constructor(id: number, bytes: number, owner: WindowOwner, windows: ViewWindows) {
    this.id = id;
    this.bytes = Math.max(bytes, LEAST_WINDOW_BYTES);
    this.owner = owner;
    this.#windows = windows;
    this.#acknowledged = { ...owner.cursor.offsets };
  }

  /** Whether the viewer has let its window be closed for the stall time: nobody waits for it. */
  get isSilent(): boolean {
    return this.#isSilent;
  }

  /** How many bytes may be sent. */
  get room(): number {
    const { offsets } = this.owner.cursor;
    let underWay = 0;
    for (const kind of OUTPUT_KINDS) {
      underWay += Math.max(0, offsets[kind] - this.#acknowledged[kind]);
    }
    for (const { from, to } of this.#gaps) underWay -= to - from;
    return Math.max(0, this.bytes - underWay);
  }

  /** Told that the viewer has found no room for what it has to send. */
  onClosed(): void {
    if (!this.#isSilent) this.#windows.watch.note(this.#watched);
  }

  /** Told that the viewer was told of a gap. */
  onGap(output: OutputKind, from: number, to: number): void {
    this.#gaps.push({ output, from, to });
  }

  /** Everything before `offsets` has been shown. What was acknowledged stays so. */
  acknowledge(offsets: Offsets): void {
    for (const kind of OUTPUT_KINDS) {
      this.#acknowledged[kind] = Math.max(this.#acknowledged[kind], offsets[kind]);
    }
    this.#gaps = this.#gaps.flatMap(({ output, from, to }) => {
      const start = Math.max(from, this.#acknowledged[output]);
      return start < to ? [{ output, from: start, to }] : [];
    });
    this.#acknowledgements += 1;
    this.#isSilent = false;
    this.owner.onChange();
  }

  /** Its viewer has left. */
  close(): void {
    this.#windows.watch.forget(this.#watched);
    this.#windows.delete(this);
  }
}

/** The windows of all viewers that have one. */
export class ViewWindows {
  readonly watch: WindowWatch;
  readonly #byId = new Map<number, ViewWindow>();
  #lastId = 0;

  constructor(watch: WindowWatch) {
    this.watch = watch;
  }

  /** A window of `bytes`, at least 16 KiB. */
  open(bytes: number, owner: WindowOwner): ViewWindow {
    this.#lastId += 1;
    const window = new ViewWindow(this.#lastId, bytes, owner, this);
    this.#byId.set(window.id, window);
    return window;
  }

  /** The window `id` of the process that `selector` names. Throws `not-found`. */
  find(selector: Selector, id: number): ViewWindow {
    const window = this.#byId.get(id);
    const isNamed =
      window !== undefined &&
      ("pid" in selector ? window.owner.pid === selector.pid : window.owner.tag === selector.tag);
    if (isNamed) return window;
    throw new AgentError("not-found", `viewer ${id} of this process not found: it has ended`);
  }

  /** Forgets a window. */
  delete(window: ViewWindow): void {
    this.#byId.delete(window.id);
  }
}
