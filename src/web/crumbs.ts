import { element } from "./element.ts";
import { ancestorsOf } from "./paths.ts";

/** The way to a directory, each step of it a button. */
export class Crumbs {
  readonly node = element("ol", { class: "crumbs", "aria-label": "Directory" });
  readonly #onGo: (path: string) => void;

  constructor(onGo: (path: string) => void) {
    this.#onGo = onGo;
  }

  /** Shows the way to `path`. */
  show(path: string): void {
    const hadKeys = this.node.contains(document.activeElement);
    const steps = ancestorsOf(path);
    this.node.replaceChildren(
      ...steps.map((step, at) => {
        const isLast = at === steps.length - 1;
        const attributes = isLast ? { "aria-current": "location" } : {};
        const click = () => this.#onGo(step.path);
        const button = element("button", { type: "button", ...attributes, click }, step.name);
        return element("li", {}, button, at > 0 && !isLast ? "/" : "");
      }),
    );
    if (hadKeys) this.node.querySelector<HTMLElement>("[aria-current]")?.focus();
  }
}
