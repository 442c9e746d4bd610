import { openDialog } from "./dialog.ts";
import { element } from "./element.ts";
import { preferences } from "./preferences.ts";

const KEYS: readonly (readonly [string, string])[] = [
  ["Ctrl Shift Enter", "new terminal"],
  ["Ctrl Shift ← →", "the terminal before, the one after"],
  ["Ctrl Shift F", "search the terminal"],
  ["Ctrl Shift C", "copy what is selected"],
  ["Ctrl Shift V", "paste"],
  ["Ctrl F6", "leave the terminal for the bar; Tab goes on from there"],
  ["Delete", "on a tab or an entry: close, delete"],
  ["F2", "on an entry: rename"],
];

/** Says which keys there are, and holds what can be set. */
export async function showHelp(): Promise<void> {
  await openDialog("Keys", (close) => {
    const rows = KEYS.flatMap(([keys, what]) => [
      element("dt", {}, element("kbd", {}, keys)),
      element("dd", {}, what),
    ]);
    const box = element("input", {
      type: "checkbox",
      checked: preferences.screenReader,
      change: () => {
        preferences.screenReader = box.checked;
      },
    });
    const label = element("label", { class: "check" }, box, " Terminals speak to a screen reader");
    const leave = element("button", { type: "button", class: "main", click: close }, "Close");
    return [
      element("dl", { class: "keys" }, ...rows),
      element("p", {}, label),
      element("div", { class: "buttons" }, leave),
    ];
  });
}
