import type { SearchAddon } from "@xterm/addon-search";
import { element, iconButton } from "./element.ts";
import type { Theme } from "./theme.ts";

/** What a search bar searches. */
export interface Searched {
  search: SearchAddon;
  focus(): void;
}

/** Searches the terminal that shows. */
export class SearchBar {
  readonly #node: HTMLElement;
  readonly #theme: Theme;
  readonly #current: () => Searched | undefined;
  readonly #input = element("input", {
    type: "search",
    "aria-label": "Search text",
    placeholder: "Search",
    autocomplete: "off",
    spellcheck: "false",
    input: () => this.#find("next", true),
    keydown: (event) => this.#key(event as KeyboardEvent),
  });
  readonly #count = element("output", { "aria-live": "polite" });
  #listening: { dispose(): void } | undefined;

  /** `current`: the terminal that shows. */
  constructor(node: HTMLElement, theme: Theme, current: () => Searched | undefined) {
    this.#node = node;
    this.#theme = theme;
    this.#current = current;
    node.append(
      this.#input,
      this.#count,
      iconButton("up", "Previous match", () => this.#find("previous", false)),
      iconButton("down", "Next match", () => this.#find("next", false)),
      iconButton("close", "Close search", () => this.close()),
    );
  }

  /** Shows the bar and takes the keys. */
  open(): void {
    const current = this.#current();
    if (current === undefined) return;
    this.#node.hidden = false;
    this.#listening?.dispose();
    this.#listening = current.search.onDidChangeResults(({ resultIndex, resultCount }) => {
      const place = resultIndex < 0 ? "" : `${resultIndex + 1} / `;
      this.#count.textContent = resultCount === 0 ? "none" : `${place}${resultCount}`;
    });
    this.#input.focus();
    this.#input.select();
  }

  /** Hides it and gives the keys back. */
  close(): void {
    this.#node.hidden = true;
    this.#listening?.dispose();
    this.#count.textContent = "";
    const current = this.#current();
    current?.search.clearDecorations();
    current?.focus();
  }

  #find(direction: "next" | "previous", incremental: boolean): void {
    const search = this.#current()?.search;
    const text = this.#input.value;
    const decorations = this.#theme.matches;
    if (search === undefined) return;
    if (text === "") {
      search.clearDecorations();
      this.#count.textContent = "";
    } else if (direction === "next") {
      search.findNext(text, { incremental, decorations });
    } else search.findPrevious(text, { decorations });
  }

  #key(event: KeyboardEvent): void {
    if (event.key === "Enter") this.#find(event.shiftKey ? "previous" : "next", false);
    else if (event.key === "Escape") this.close();
    else return;
    event.preventDefault();
  }
}
