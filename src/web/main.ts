import { readAddress } from "./address.ts";
import { openConsole } from "./console-page.ts";
import { LifeSign } from "./life-sign.ts";
import { Link } from "./link.ts";
import { allowStylesByScript } from "./strict-styles.ts";
import { Theme } from "./theme.ts";
import { openView } from "./view-page.ts";

allowStylesByScript();
const { token, view } = readAddress();
const link = new Link(token, view !== undefined);
const theme = new Theme();
void new LifeSign(link);

// Opened out of sight, it begins once it is seen.
if (document.hidden) {
  await new Promise((seen) => document.addEventListener("visibilitychange", seen, { once: true }));
}
const page = view === undefined ? openConsole(link, theme) : openView(link, theme, view);

/** Nothing goes on in a page that nobody looks at: it would keep the machine awake. */
function settle(): void {
  if (document.hidden) link.rest();
  else link.open();
  page.stream(!document.hidden);
}
document.addEventListener("visibilitychange", settle);
settle();
