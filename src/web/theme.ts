import type { ISearchDecorationOptions } from "@xterm/addon-search";
import type { ITheme } from "@xterm/xterm";

/** How the page looks. `auto` follows the system. */
type Choice = "auto" | "dark" | "light";

const KEY = "thaw.theme";

const DARK: ITheme = {
  background: "#0d1216",
  foreground: "#dce6eb",
  cursor: "#9ad8ee",
  cursorAccent: "#0d1216",
  selectionBackground: "#2c4d5c",
  black: "#1d272e",
  red: "#ee8a80",
  green: "#7cc08a",
  yellow: "#e2b365",
  blue: "#7fb0ea",
  magenta: "#c99ae0",
  cyan: "#6fc6e2",
  white: "#c9d5db",
  brightBlack: "#7c8f9a",
  brightRed: "#ffa79e",
  brightGreen: "#9bdba8",
  brightYellow: "#f2cc8a",
  brightBlue: "#a3caf7",
  brightMagenta: "#dfb9f0",
  brightCyan: "#9ad8ee",
  brightWhite: "#f3f8fa",
};

const LIGHT: ITheme = {
  background: "#fbfcfd",
  foreground: "#1b262c",
  cursor: "#0b6a88",
  cursorAccent: "#fbfcfd",
  selectionBackground: "#bfe0ec",
  black: "#1b262c",
  red: "#b3261e",
  green: "#26713a",
  yellow: "#85590a",
  blue: "#1f5fae",
  magenta: "#83399e",
  cyan: "#0b6a88",
  white: "#566771",
  brightBlack: "#5f717c",
  brightRed: "#c2372e",
  brightGreen: "#2f7d44",
  brightYellow: "#8f620f",
  brightBlue: "#2b6cbd",
  brightMagenta: "#9148ac",
  brightCyan: "#127a9b",
  brightWhite: "#37474f",
};

const DARK_MATCHES: ISearchDecorationOptions = {
  matchBackground: "#5b4a1e",
  matchOverviewRuler: "#e2b365",
  activeMatchBackground: "#b98a2e",
  activeMatchColorOverviewRuler: "#e2b365",
};

const LIGHT_MATCHES: ISearchDecorationOptions = {
  matchBackground: "#f6e3b4",
  matchOverviewRuler: "#85590a",
  activeMatchBackground: "#f0c45c",
  activeMatchColorOverviewRuler: "#85590a",
};

/** Dark or light: what the system says, until the person says otherwise. */
export class Theme extends EventTarget {
  readonly #system = matchMedia("(prefers-color-scheme: light)");
  #choice: Choice = "auto";

  constructor() {
    super();
    const kept = localStorage.getItem(KEY);
    if (kept === "dark" || kept === "light") this.#choice = kept;
    this.#system.addEventListener("change", () => this.#apply());
    this.#apply();
  }

  /** What shows now. */
  get name(): "dark" | "light" {
    if (this.#choice !== "auto") return this.#choice;
    return this.#system.matches ? "light" : "dark";
  }

  /** The terminal's colours. */
  get colors(): ITheme {
    return this.name === "light" ? LIGHT : DARK;
  }

  /** The colours of what was searched for and found. */
  get matches(): ISearchDecorationOptions {
    return this.name === "light" ? LIGHT_MATCHES : DARK_MATCHES;
  }

  /** Shows the other one, from now on. */
  toggle(): void {
    this.#choice = this.name === "light" ? "dark" : "light";
    localStorage.setItem(KEY, this.#choice);
    this.#apply();
  }

  #apply(): void {
    document.documentElement.dataset["theme"] = this.name;
    this.dispatchEvent(new Event("change"));
  }
}
