import { GuestError } from "../errors.ts";
import type { GuestFiles } from "../files.ts";
import { Patience, type PatienceOptions } from "../patience.ts";
import type { Plan } from "./plan.ts";
import { type PathEnd, remoteEnd } from "./remote-end.ts";

/** How a file or a directory is copied. */
export interface CopyOptions extends PatienceOptions {
  /** What is not in the source is removed. Default: it stays. */
  deletes?: boolean | undefined;
  /** Files are compared by content. Default: by size, mode and time. */
  byChecksum?: boolean | undefined;
  /** Only plans. */
  isDry?: boolean | undefined;
  /** Told what will be done to a directory, before it is. */
  onPlan?: ((plan: Plan) => void) | undefined;
  /** Told how many bytes are there, first those that were there before, and how many it will be. */
  onProgress?: ((done: number, total: number) => void) | undefined;
}

/** What all parts of one copy share: who hears of it, and how long a guest out of reach is tried. */
export class Copying {
  readonly files: GuestFiles;
  readonly options: CopyOptions;
  readonly #patience: Patience;
  #done = 0;
  #total = 0;

  constructor(files: GuestFiles, options: CopyOptions) {
    this.files = files;
    this.options = options;
    this.#patience = new Patience(options);
  }

  get signal(): AbortSignal | undefined {
    return this.options.signal;
  }

  /** What a call takes that goes on by itself. */
  get patienceOptions(): PatienceOptions {
    const { signal, giveUpAfterMs, onInterrupted, onResumed } = this.options;
    return { signal, giveUpAfterMs, onInterrupted, onResumed };
  }

  /** So many bytes are there already, of so many. */
  begin(done: number, total: number): void {
    this.#total = total;
    this.#done = 0;
    this.progress(done);
  }

  /** So many bytes more are there; fewer after a cut. */
  progress(bytes: number): void {
    this.#done += bytes;
    this.options.onProgress?.(this.#done, this.#total);
  }

  /** Something has arrived. */
  arrived(): void {
    this.#patience.answered();
    this.#patience.progressed();
  }

  /** Does what can be done twice until it is done. `onCut`: what there is to do before it is again. */
  async untilDone<T>(act: () => Promise<T>, onCut: () => void = () => {}): Promise<T> {
    for (let isFirst = true; ; isFirst = false) {
      this.signal?.throwIfAborted();
      try {
        // A guest that answers is not out of reach, however long the way is too bad for more.
        if (!isFirst) await this.#ask();
        const result = await act();
        this.arrived();
        return result;
      } catch (reason) {
        this.signal?.throwIfAborted();
        if (!(reason instanceof GuestError) || !reason.isRetryable) throw reason;
        onCut();
        await this.#patience.afterCut(reason);
      }
    }
  }

  /** What a path of the guest leads to. */
  remoteEnd(path: string): Promise<PathEnd> {
    return this.untilDone(() => remoteEnd(this.files, path, this.signal));
  }

  async #ask(): Promise<void> {
    await this.files.stat("/", this.signal);
    this.#patience.answered();
  }
}
