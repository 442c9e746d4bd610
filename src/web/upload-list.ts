import { toGuestError } from "../client/errors.ts";
import { element, iconButton } from "./element.ts";
import { sizeText } from "./sizes.ts";
import { type UploadTarget, upload } from "./upload.ts";

/** What an upload list needs. */
export interface UploadListOptions {
  target: UploadTarget;
  /** A file has arrived. */
  onDone: () => void;
}

/** Files on their way into the guest, one after the other, each with how far it is. */
export class UploadList {
  readonly node = element("ul", { class: "uploads", "aria-label": "Uploads" });
  readonly #options: UploadListOptions;
  #last: Promise<void> = Promise.resolve();

  constructor(options: UploadListOptions) {
    this.#options = options;
  }

  /** Sends `file` to `path`, after those that were added before. */
  add(file: File, path: string): void {
    const leaving = new AbortController();
    const state = element("span", { class: "state", "aria-live": "off" }, "waits");
    const progress = element("progress", { max: "1", value: "0", "aria-label": file.name });
    const leave = () => {
      leaving.abort();
      row.remove();
    };
    const row = element(
      "li",
      {},
      element("span", { class: "name", title: path }, file.name),
      state,
      iconButton("close", `Cancel ${file.name}`, leave),
      progress,
    );
    this.node.append(row);
    this.#last = this.#last.then(() => this.#send(file, path, { leaving, state, progress, row }));
  }

  async #send(file: File, path: string, shown: Shown): Promise<void> {
    const { leaving, state, progress, row } = shown;
    if (leaving.signal.aborted) return;
    try {
      await upload(this.#options.target, { file, path, signal: leaving.signal }, (sent, note) => {
        progress.value = file.size === 0 ? 1 : sent / file.size;
        state.textContent = note ?? `${sizeText(sent)} of ${sizeText(file.size)}`;
      });
      row.remove();
      this.#options.onDone();
    } catch (reason) {
      if (leaving.signal.aborted) return;
      state.classList.add("bad");
      state.textContent = toGuestError(reason).message;
      progress.remove();
    }
  }
}

interface Shown {
  leaving: AbortController;
  state: HTMLElement;
  progress: HTMLProgressElement;
  row: HTMLElement;
}
