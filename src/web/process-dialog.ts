import type { ProcessSummary } from "../client/process.ts";
import { openDialog } from "./dialog.ts";
import { drawing, element } from "./element.ts";
import type { Link } from "./link.ts";
import type { TabContent } from "./tab.ts";

/** Shows what runs in the guest and gives what was chosen to look at. */
export async function chooseProcess(link: Link): Promise<TabContent | undefined> {
  const processes = await link.processes.list();
  let chosen: ProcessSummary | undefined;
  await openDialog("Attach to a process", (close) => {
    const leave = element("button", { type: "button", click: close }, "Cancel");
    const buttons = element("div", { class: "buttons" }, leave);
    if (processes.length === 0) return [element("p", { class: "soft" }, "Nothing runs."), buttons];
    const choices = processes.map((process) =>
      choice(process, () => {
        chosen = process;
        close();
      }),
    );
    return [element("ul", {}, ...choices), buttons];
  });
  if (chosen === undefined) return undefined;
  const { pid, hasTerminal, written } = chosen;
  const base = { pid, name: nameOf(chosen), isOwn: false };
  return hasTerminal
    ? { ...base, isPiped: false, written: written.pty }
    : { ...base, isPiped: true };
}

function choice(process: ProcessSummary, onChoose: () => void): HTMLElement {
  const { pid, command, args, hasTerminal, user } = process;
  const line = [command, ...args].join(" ");
  return element(
    "li",
    {},
    element(
      "button",
      { type: "button", class: "choice", click: onChoose },
      drawing(hasTerminal ? "list" : "eye"),
      element("span", { class: "mono" }, String(pid)),
      element("span", { class: "grow mono", title: line }, line),
      element("span", { class: "soft" }, hasTerminal ? user : "on pipes, to look at"),
    ),
  );
}

function nameOf({ command, pid, tag }: ProcessSummary): string {
  return tag ?? `${command.split("/").at(-1)} ${pid}`;
}
