import { element, existing } from "./element.ts";
import type { Link } from "./link.ts";
import type { Life } from "./pulse.ts";

const WORDS: Record<Life, string> = {
  unknown: "connecting",
  live: "connected",
  frozen: "frozen, waiting",
  unreachable: "unreachable, waiting",
};

const NOTICES: Partial<Record<Life, string>> = {
  frozen: "The machine is frozen. What you type waits with you, and all goes on by itself.",
  unreachable: "The agent cannot be reached. The page tries again by itself.",
};

/** Says whether the guest answers: in the bar, and over the terminal while it does not. */
export class LifeSign {
  readonly #bar = existing("#life");
  readonly #notice = existing("#notice");
  #timer: ReturnType<typeof setInterval> | undefined;

  constructor(link: Link) {
    link.on("life", ({ detail }) => this.#show(detail));
    this.#show(link.life);
  }

  #show(life: Life): void {
    this.#bar.dataset["life"] = life;
    this.#bar.textContent = WORDS[life];
    clearInterval(this.#timer);
    const notice = NOTICES[life];
    this.#notice.hidden = notice === undefined;
    if (notice === undefined) return;
    // Not read out every second.
    const waited = element("span", { "aria-hidden": "true", class: "mono" });
    this.#notice.dataset["kind"] = "frozen";
    this.#notice.replaceChildren(element("span", { class: "grow" }, notice), waited);
    const began = performance.now();
    const count = () => {
      waited.textContent = `${Math.floor((performance.now() - began) / 1_000)} s`;
    };
    count();
    this.#timer = setInterval(count, 1_000);
  }
}
