import { FitAddon } from "@xterm/addon-fit";
import { SearchAddon } from "@xterm/addon-search";
import { Unicode11Addon } from "@xterm/addon-unicode11";
import { WebLinksAddon } from "@xterm/addon-web-links";
import { Terminal } from "@xterm/xterm";
import { AttachAddon, type AttachState, type Shown } from "./attach.ts";
import { element } from "./element.ts";
import type { Link } from "./link.ts";
import { preferences } from "./preferences.ts";
import type { Theme } from "./theme.ts";

/** Lines that stay above the screen. */
const SCROLLBACK_LINES = 10_000;

/** What a terminal of the page is made of. */
export interface TerminalViewOptions {
  link: Link;
  theme: Theme;
  shown: Shown;
  /** Only shows, in this size. */
  view?: { cols: number; rows: number } | undefined;
  /** Shows a program without a terminal: lines end as programs end them. */
  isPiped?: boolean;
  onState: (state: AttachState) => void;
  /** The program has named itself. */
  onTitle?: (title: string) => void;
  /** Keys that are the page's. `true`: the terminal does not get them. */
  onKey?: (event: KeyboardEvent) => boolean;
}

/** One terminal, with what shows it. */
export class TerminalView implements Disposable {
  readonly node: HTMLElement;
  readonly terminal: Terminal;
  readonly search = new SearchAddon();
  readonly #attach: AttachAddon;
  readonly #fit = new FitAddon();
  readonly #watching = new AbortController();
  readonly #sizes: ResizeObserver;
  readonly #isSized: boolean;
  #hasEnded = false;

  constructor(options: TerminalViewOptions) {
    const { link, theme, shown, view, isPiped = false } = options;
    this.#isSized = view !== undefined;
    this.node = element("div", { class: view === undefined ? "view" : "view sized" });
    this.terminal = createTerminal(theme, view !== undefined || isPiped, isPiped);
    if (view !== undefined) this.terminal.resize(view.cols, view.rows);
    this.#attach = new AttachAddon({
      transport: link.transport,
      shown,
      isReadOnly: view !== undefined || isPiped,
      onState: (state) => this.#stateChanged(state, options.onState),
      onGap: (from, to) => this.say(`${(to - from).toLocaleString("en")} bytes were not kept`),
    });
    this.#sizes = new ResizeObserver(() => this.fit());
    const { signal } = this.#watching;
    theme.addEventListener("change", () => this.#restyle(theme), { signal });
    preferences.addEventListener("change", () => this.#prefer(), { signal });
    this.terminal.loadAddon(this.#fit);
    this.terminal.loadAddon(this.search);
    this.terminal.onTitleChange((title) => options.onTitle?.(title));
    this.terminal.attachCustomKeyEventHandler((event) => options.onKey?.(event) !== true);
  }

  /** The program's pid, once it runs. */
  get pid(): number | undefined {
    return this.#attach.pid;
  }

  /** Puts it into `parent` and begins. */
  open(parent: HTMLElement): void {
    parent.append(this.node);
    this.terminal.open(this.node);
    this.fit();
    this.#sizes.observe(this.node);
    this.terminal.loadAddon(this.#attach);
  }

  /** Shows it and lets output flow, or hides it and lets the stream go. */
  show(isShown: boolean): void {
    this.node.hidden = !isShown;
    this.stream(isShown);
    if (isShown) this.fit();
  }

  /** Lets output flow or not, as while the page is not seen. */
  stream(isWanted: boolean): void {
    if (isWanted && !document.hidden) this.#attach.wake();
    else void this.#attach.rest();
  }

  /** Attaches anew, as when calls carry another token. */
  renew(): void {
    this.#attach.renew();
  }

  /** Fills its place with as many characters as fit. */
  fit(): void {
    if (this.node.hidden || this.#isSized) return;
    const { options } = this.terminal;
    if (options.fontSize !== preferences.fontSize) options.fontSize = preferences.fontSize;
    this.#fit.fit();
  }

  /** Ends the program. */
  async kill(): Promise<void> {
    await this.#attach.kill();
  }

  /** Writes one grey line of the page's own. */
  say(text: string): void {
    this.terminal.write(`\r\n\x1b[90m[${text}]\x1b[0m\r\n`);
  }

  [Symbol.dispose](): void {
    this.#watching.abort();
    this.#sizes.disconnect();
    this.terminal.dispose();
    this.node.remove();
  }

  #stateChanged(state: AttachState, onState: (state: AttachState) => void): void {
    this.node.dataset["away"] = String(state.name === "interrupted");
    if (state.name === "ended" && !this.#hasEnded) {
      this.#hasEnded = true;
      this.say(`ended: ${state.end.status}`);
    }
    onState(state);
  }

  #restyle(theme: Theme): void {
    this.terminal.options.theme = theme.colors;
  }

  #prefer(): void {
    this.terminal.options.screenReaderMode = preferences.screenReader;
    this.fit();
  }
}

function createTerminal(theme: Theme, isReadOnly: boolean, convertEol: boolean): Terminal {
  const terminal = new Terminal({
    allowProposedApi: true,
    // What programs write is no concern of the browser's console.
    logLevel: "off",
    cursorBlink: false,
    disableStdin: isReadOnly,
    convertEol,
    fontFamily: getComputedStyle(document.documentElement).getPropertyValue("--mono"),
    fontSize: preferences.fontSize,
    screenReaderMode: preferences.screenReader,
    scrollback: SCROLLBACK_LINES,
    theme: theme.colors,
  });
  terminal.loadAddon(new Unicode11Addon());
  terminal.unicode.activeVersion = "11";
  terminal.loadAddon(new WebLinksAddon(openLink));
  return terminal;
}

/** Opens what a program printed, which learns nothing of this page. */
function openLink(_event: MouseEvent, uri: string): void {
  window.open(uri, "_blank", "noopener,noreferrer");
}
