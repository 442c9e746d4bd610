import type { Address } from "./address.ts";
import { element, existing, iconButton } from "./element.ts";
import type { Link } from "./link.ts";
import { TerminalView } from "./terminal-view.ts";
import type { Theme } from "./theme.ts";

/** Opens the page that only shows one terminal. */
export function openView(
  link: Link,
  theme: Theme,
  { pid, cols, rows }: NonNullable<Address["view"]>,
): { stream(isWanted: boolean): void } {
  document.body.dataset["view"] = "";
  document.title = `thaw: watching ${pid}`;
  existing("#tabs").remove();
  existing("#tab-tools").remove();
  existing(".brand").after(element("p", { class: "watched" }, `process ${pid}, read-only`));
  existing("#tools").append(iconButton("contrast", "Dark or light", () => theme.toggle()));
  const view = new TerminalView({
    link,
    theme,
    shown: { pid },
    view: { cols, rows },
    onState: (state) => {
      if (state.name === "failed") view.say(`cannot be shown: ${state.error.message}`);
    },
  });
  view.open(existing("#terminals"));
  return { stream: (isWanted) => view.stream(isWanted) };
}
