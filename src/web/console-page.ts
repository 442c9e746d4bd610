import { toGuestError } from "../client/errors.ts";
import { copyText } from "./clipboard.ts";
import { existing, iconButton } from "./element.ts";
import { FilesPanel } from "./files-panel.ts";
import { showHelp } from "./help-dialog.ts";
import { keptTabs } from "./kept-tabs.ts";
import type { Link } from "./link.ts";
import { PanelSwitch } from "./panels.ts";
import { chooseProcess } from "./process-dialog.ts";
import { SearchBar } from "./search-bar.ts";
import { shareView } from "./share.ts";
import { StatusPanel } from "./status-panel.ts";
import { Tabs } from "./tabs.ts";
import type { Theme } from "./theme.ts";
import { askForToken } from "./token-dialog.ts";

/** Opens the page with everything: terminals, files, status. */
export function openConsole(link: Link, theme: Theme): { stream(isWanted: boolean): void } {
  const page = new ConsolePage(link, theme);
  void page.open();
  return page;
}

class ConsolePage {
  readonly #link: Link;
  readonly #theme: Theme;
  readonly #tabs: Tabs;
  readonly #search: SearchBar;

  constructor(link: Link, theme: Theme) {
    this.#link = link;
    this.#theme = theme;
    this.#tabs = new Tabs({
      link,
      theme,
      onState: (state) => {
        if (state.name === "failed") this.#sayFailed(state.error);
      },
      onKey: (event) => this.#key(event),
    });
    this.#search = new SearchBar(existing("#search"), theme, () => {
      const view = this.#tabs.current?.view;
      return view && { search: view.search, focus: () => view.terminal.focus() };
    });
    existing("#tab-tools").append(
      iconButton("plus", "New terminal", () => this.#tabs.addShell()),
      iconButton("list", "Attach to a process", () => void this.#attach()),
    );
    existing("#tools").append(...this.#tools());
    askForToken(link, () => this.#goOn());
  }

  /** Shows the terminals of before a reload, or a new one. */
  async open(): Promise<void> {
    try {
      const { tabs, current } = await keptTabs(this.#link.process);
      for (const content of tabs) this.#tabs.add(content);
      const shown = this.#tabs.all[current];
      if (shown === undefined) this.#tabs.addShell();
      else this.#tabs.select(shown);
    } catch (reason) {
      this.#sayFailed(reason);
    }
  }

  /** Lets output flow or not. */
  stream(isWanted: boolean): void {
    this.#tabs.stream(isWanted);
  }

  /** With another token. */
  #goOn(): void {
    if (this.#tabs.current === undefined) void this.open();
    else this.#tabs.renew();
  }

  #tools(): HTMLElement[] {
    const files: PanelSwitch = new PanelSwitch({
      name: "files",
      icon: "folder",
      label: "Files",
      panel: new FilesPanel(existing("#files"), this.#link),
      onAlone: () => status.show(false),
    });
    const status: PanelSwitch = new PanelSwitch({
      name: "status",
      icon: "activity",
      label: "Status",
      panel: new StatusPanel(existing("#status"), this.#link),
      onAlone: () => files.show(false),
    });
    return [
      files.button,
      status.button,
      iconButton("search", "Search the terminal", () => this.#search.open()),
      iconButton("eye", "Read-only link", () => void this.#share()),
      iconButton("contrast", "Dark or light", () => this.#theme.toggle()),
      iconButton("help", "Keys", () => void showHelp()),
    ];
  }

  async #attach(): Promise<void> {
    try {
      const content = await chooseProcess(this.#link);
      if (content !== undefined) this.#tabs.add(content);
    } catch (reason) {
      this.#sayFailed(reason);
    }
  }

  async #share(): Promise<void> {
    const view = this.#tabs.current?.view;
    if (view === undefined) return;
    try {
      await shareView(this.#link, view);
    } catch (reason) {
      this.#sayFailed(reason);
    }
  }

  #sayFailed(reason: unknown): void {
    const { kind, message } = toGuestError(reason);
    // The token is asked for.
    if (kind !== "unauthenticated") this.#tabs.current?.view.say(message);
  }

  #key(event: KeyboardEvent): boolean {
    const act = event.type === "keydown" ? this.#actOf(event) : undefined;
    if (act === undefined) return false;
    event.preventDefault();
    act();
    return true;
  }

  #actOf(event: KeyboardEvent): (() => void) | undefined {
    const current = this.#tabs.current;
    if (!event.ctrlKey || event.altKey || event.metaKey || current === undefined) return undefined;
    if (event.key === "F6") return () => current.button.focus();
    if (!event.shiftKey) return undefined;
    const { terminal } = current.view;
    const acts: Record<string, (() => void) | undefined> = {
      Enter: () => this.#tabs.addShell(),
      ArrowLeft: () => this.#tabs.step(-1),
      ArrowRight: () => this.#tabs.step(1),
      KeyF: () => this.#search.open(),
      KeyC: () => copyText(terminal.getSelection()),
    };
    return acts[event.code];
  }
}
