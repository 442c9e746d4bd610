import { viewAddress } from "./address.ts";
import { copyText } from "./clipboard.ts";
import { openDialog } from "./dialog.ts";
import { element } from "./element.ts";
import type { Link } from "./link.ts";
import type { TerminalView } from "./terminal-view.ts";

/** Makes a link to a page that only shows the terminal, and shows it to be copied. */
export async function shareView(link: Link, view: TerminalView): Promise<void> {
  const { pid, terminal } = view;
  if (pid === undefined) return;
  const selector = { selector: { case: "pid" as const, value: pid } };
  const { token } = await link.process.createViewToken({ process: selector });
  const address = viewAddress(pid, { cols: terminal.cols, rows: terminal.rows }, token);
  await openDialog("Read-only link", (close) => {
    const field = element("input", { readonly: true, value: address, "aria-label": "Address" });
    const copy = element(
      "button",
      {
        type: "button",
        class: "main",
        click: () => {
          field.select();
          copyText(address);
          copy.textContent = "Copied";
        },
      },
      "Copy",
    );
    const leave = element("button", { type: "button", click: close }, "Close");
    const text =
      "Whoever opens it sees this terminal, and can neither type nor see anything else. It ends with the program.";
    const fields = element("form", { submit: (event) => event.preventDefault() }, field);
    return [
      element("p", {}, text),
      fields,
      element("p", {}),
      element("div", { class: "buttons" }, copy, leave),
    ];
  });
}
