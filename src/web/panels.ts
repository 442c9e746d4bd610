import { existing, iconButton } from "./element.ts";

/** A panel beside the terminal. */
export interface Panel {
  /** Begins or ends to ask the guest. */
  follow(isShown: boolean): void;
  /** Takes the keys, where it can. */
  focus?(): void;
}

const NARROW = matchMedia("(max-width: 760px)");

/** What a panel is switched by. */
export interface PanelSwitchOptions {
  name: "files" | "status";
  icon: string;
  label: string;
  panel: Panel;
  /** It was shown where there is room for one. */
  onAlone: () => void;
}

/** Shows a panel or hides it, by a button; kept for reloads. On a small screen one shows at a time. */
export class PanelSwitch {
  readonly button: HTMLButtonElement;
  readonly #name: PanelSwitchOptions["name"];
  readonly #node: HTMLElement;
  readonly #panel: Panel;
  readonly #onAlone: () => void;
  #isShown = false;

  constructor(options: PanelSwitchOptions) {
    this.#name = options.name;
    this.#node = existing(`#${options.name}`);
    this.#panel = options.panel;
    this.#onAlone = options.onAlone;
    this.button = iconButton(options.icon, options.label, () => this.toggle(), {
      "aria-expanded": "false",
      "aria-controls": options.name,
    });
    if (sessionStorage.getItem(this.#key) === "1" && !NARROW.matches) this.show(true);
  }

  /** Shows it or hides it; shown by a person, it takes the keys. */
  toggle(): void {
    this.show(!this.#isShown);
    if (!this.#isShown) return;
    if (NARROW.matches) this.#onAlone();
    this.#panel.focus?.();
  }

  /** Shows or hides it. */
  show(isShown: boolean): void {
    this.#isShown = isShown;
    this.#node.hidden = !isShown;
    document.body.toggleAttribute(`data-${this.#name}`, isShown);
    this.button.setAttribute("aria-expanded", String(isShown));
    sessionStorage.setItem(this.#key, isShown ? "1" : "0");
    this.#panel.follow(isShown);
  }

  get #key(): string {
    return `thaw.panel.${this.#name}`;
  }
}
