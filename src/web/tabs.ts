import { toGuestError } from "../client/errors.ts";
import type { AttachState } from "./attach.ts";
import { ask } from "./dialog.ts";
import { existing } from "./element.ts";
import { keepTabs } from "./kept-tabs.ts";
import type { Link } from "./link.ts";
import { Tab, type TabContent } from "./tab.ts";
import type { Theme } from "./theme.ts";

/** What the tabs are made of. */
export interface TabsOptions {
  link: Link;
  theme: Theme;
  /** The state of the tab that shows. */
  onState: (state: AttachState) => void;
  /** Keys that are the page's. */
  onKey: (event: KeyboardEvent) => boolean;
}

/** The terminals of this window. One shows; only its output is under way. */
export class Tabs {
  readonly #options: TabsOptions;
  readonly #list = existing("#tabs");
  readonly #place = existing("#terminals");
  #tabs: Tab[] = [];
  #current: Tab | undefined;
  #count = 0;

  constructor(options: TabsOptions) {
    this.#options = options;
    this.#list.addEventListener("keydown", (event) => this.#listKey(event));
  }

  /** The tab that shows. */
  get current(): Tab | undefined {
    return this.#current;
  }

  /** All of them. */
  get all(): readonly Tab[] {
    return this.#tabs;
  }

  /** Adds a tab, shows it and takes the keys to it. */
  add(content: TabContent): Tab {
    const tab: Tab = new Tab({
      link: this.#options.link,
      theme: this.#options.theme,
      content,
      id: String(++this.#count),
      onState: (state) => {
        this.#keep();
        if (tab === this.#current) this.#options.onState(state);
      },
      onName: () => this.#keep(),
      onKey: (event) => this.#options.onKey(event),
      onSelect: () => this.select(tab),
      onClose: () => void this.close(tab),
    });
    this.#tabs.push(tab);
    this.#list.append(tab.node);
    this.#hideCurrent();
    tab.view.open(this.#place);
    this.select(tab);
    return tab;
  }

  /** A new shell. */
  addShell(): Tab {
    const number = this.#count + 1;
    return this.add({ name: `shell ${number}`, isOwn: true, isPiped: false });
  }

  /** Shows `tab` and takes the keys to it. */
  select(tab: Tab): void {
    for (const one of this.#tabs) if (one !== tab) one.show(false);
    this.#current = tab;
    tab.show(true);
    tab.view.terminal.focus();
    this.#options.onState(tab.state);
    this.#keep();
  }

  /** Shows the tab that comes `step` after the one that shows. */
  step(step: 1 | -1): void {
    const at = this.#tabs.findIndex((tab) => tab === this.#current);
    const next = this.#tabs.at((at + step) % this.#tabs.length);
    if (next !== undefined) this.select(next);
  }

  /** Closes `tab`. Asks first what shall become of a program that this page has started. */
  async close(tab: Tab): Promise<void> {
    if (tab.state.name !== "ended" && tab.content.isOwn && tab.view.pid !== undefined) {
      const answer = await ask(
        "Close terminal",
        `"${tab.content.name}" still runs (pid ${tab.view.pid}).`,
        [
          { label: "End it", value: "end", kind: "danger" },
          { label: "Leave it running", value: "leave" },
        ] as const,
      );
      if (answer === undefined) {
        this.#current?.view.terminal.focus();
        return;
      }
      if (answer === "end" && !(await this.#end(tab))) return;
    }
    const at = this.#tabs.indexOf(tab);
    // It was closed once more meanwhile.
    if (at < 0) return;
    this.#drop(tab);
    const next = this.#tabs[Math.min(at, this.#tabs.length - 1)];
    if (next === undefined) this.addShell();
    else this.select(this.#current ?? next);
  }

  /** Attaches the tab that shows anew; the others do when they are shown. */
  renew(): void {
    this.#current?.view.renew();
  }

  /** Lets output of the tab that shows flow or not, as while the page is not seen. */
  stream(isWanted: boolean): void {
    this.#current?.view.stream(isWanted);
  }

  /** Whether its program has ended; else it says why not. */
  async #end(tab: Tab): Promise<boolean> {
    try {
      await tab.view.kill();
    } catch (reason) {
      const { kind, message } = toGuestError(reason);
      if (kind === "not-found") return true;
      tab.view.say(message);
      return false;
    }
    return true;
  }

  /** Takes `tab` out of the page; its program lives on. */
  #drop(tab: Tab): void {
    this.#tabs = this.#tabs.filter((one) => one !== tab);
    if (tab === this.#current) this.#current = undefined;
    tab[Symbol.dispose]();
    this.#keep();
  }

  #hideCurrent(): void {
    this.#current?.show(false);
  }

  #keep(): void {
    const kept = this.#tabs.filter(({ state }) => state.name !== "ended");
    const current = this.#current === undefined ? 0 : Math.max(0, kept.indexOf(this.#current));
    keepTabs(
      kept.map(({ content }) => content),
      current,
    );
  }

  #listKey(event: KeyboardEvent): void {
    const at = this.#tabs.findIndex(({ button }) => button === document.activeElement);
    const tab = this.#tabs[at];
    if (tab === undefined) return;
    const to = { ArrowLeft: at - 1, ArrowRight: at + 1, Home: 0, End: this.#tabs.length - 1 }[
      event.key
    ];
    if (event.key === "Delete") void this.close(tab);
    else if (to === undefined) return;
    else {
      const next = this.#tabs.at(to % this.#tabs.length);
      if (next === undefined) return;
      this.select(next);
      next.button.focus();
    }
    event.preventDefault();
  }
}
