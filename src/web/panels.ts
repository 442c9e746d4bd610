import { existing, iconButton } from "./element.ts";

/** A panel beside the terminal. */
export interface Panel {
  /** Begins or ends to ask the guest. */
  follow(isShown: boolean): void;
  /** Takes the keys, where it can. */
  focus?(): void;
}

const NARROW = matchMedia("(max-width: 760px)");

/** Shows a panel or hides it, by a button; kept for reloads. On a small screen one shows at a time. */
export class PanelSwitch {
  readonly button: HTMLButtonElement;
  readonly #name: "files" | "status";
  readonly #node: HTMLElement;
  readonly #panel: Panel;
  readonly #onShow: () => void;
  #isShown = false;

  constructor(
    options: { name: "files" | "status"; icon: string; label: string; panel: Panel },
    onShow: () => void = () => {},
  ) {
    this.#name = options.name;
    this.#node = existing(`#${options.name}`);
    this.#panel = options.panel;
    this.#onShow = onShow;
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
    if (NARROW.matches) this.#onShow();
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
