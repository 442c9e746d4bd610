import type { AttachState, Shown } from "./attach.ts";
import { drawing, element } from "./element.ts";
import type { Link } from "./link.ts";
import { TerminalView } from "./terminal-view.ts";
import type { Theme } from "./theme.ts";

/** Longer names are cut. */
const NAME_CHARACTERS = 60;

/** What a tab shows, as it is kept for a reload. */
export interface TabContent {
  /** Absent: a new shell. */
  pid?: number | undefined;
  name: string;
  /** Whether this page has started it, and so ends it when it is closed. */
  isOwn: boolean;
  /** A program on pipes, which can only be looked at. */
  isPiped: boolean;
  /** How much it has written when the tab was made. */
  written?: number;
}

/** What a tab is made of. */
export interface TabOptions {
  link: Link;
  theme: Theme;
  content: TabContent;
  /** Unique in the page. */
  id: string;
  onState: (state: AttachState) => void;
  onName: () => void;
  onKey: (event: KeyboardEvent) => boolean;
  onSelect: () => void;
  onClose: () => void;
}

/** A terminal and the tab it is chosen by. */
export class Tab implements Disposable {
  readonly node: HTMLElement;
  readonly button: HTMLButtonElement;
  readonly view: TerminalView;
  readonly #content: TabContent;
  readonly #label = element("span", { class: "name" });
  #state: AttachState = { name: "starting" };

  constructor(options: TabOptions) {
    const { content, id, onSelect, onClose } = options;
    this.#content = { ...content };
    this.button = element(
      "button",
      {
        type: "button",
        role: "tab",
        id: `tab-${id}`,
        "aria-controls": `panel-${id}`,
        click: onSelect,
      },
      this.#label,
    );
    // For the mouse alone: a list of tabs holds tabs, and the keyboard has Delete.
    const cross = element("span", {
      class: "icon",
      "aria-hidden": "true",
      title: "Close",
      click: onClose,
    });
    cross.append(drawing("close"));
    this.node = element("div", { class: "tab", role: "presentation" }, this.button, cross);
    this.view = new TerminalView({
      link: options.link,
      theme: options.theme,
      shown: shownOf(content),
      isPiped: content.isPiped,
      onState: (state) => this.#stateChanged(state, options.onState),
      onTitle: (title) => this.#rename(title, options.onName),
      onKey: options.onKey,
    });
    this.view.node.id = `panel-${id}`;
    this.view.node.setAttribute("role", "tabpanel");
    this.view.node.setAttribute("aria-labelledby", `tab-${id}`);
    this.#rename(content.name, () => {});
  }

  /** What to keep of it. */
  get content(): TabContent {
    return { ...this.#content, pid: this.view.pid };
  }

  /** What has become of its program. */
  get state(): AttachState {
    return this.#state;
  }

  /** Makes it the one that shows, or not. */
  show(isShown: boolean): void {
    this.node.dataset["current"] = String(isShown);
    this.button.setAttribute("aria-selected", String(isShown));
    this.button.tabIndex = isShown ? 0 : -1;
    this.view.show(isShown);
    if (isShown) this.node.scrollIntoView({ block: "nearest", inline: "nearest" });
  }

  [Symbol.dispose](): void {
    this.view[Symbol.dispose]();
    this.node.remove();
  }

  #rename(name: string, onName: () => void): void {
    const shown = name.trim().slice(0, NAME_CHARACTERS) || "terminal";
    this.#content.name = shown;
    this.#label.textContent = shown;
    this.button.title = shown;
    onName();
  }

  #stateChanged(state: AttachState, onState: (state: AttachState) => void): void {
    this.#state = state;
    this.node.dataset["state"] = state.name;
    onState(state);
  }
}

/** A login shell: bash where there is one. */
function shownOf({ pid, written }: TabContent): Shown {
  if (pid !== undefined) return written === undefined ? { pid } : { pid, written };
  const script = "command -v bash >/dev/null && exec bash -il; exec sh -il";
  const env = { TERM: "xterm-256color", COLORTERM: "truecolor" };
  return { command: "/bin/sh", options: { args: ["-c", script], env, tag: "web terminal" } };
}
