import { element } from "./element.ts";

/** Shows `children` in front of the page until they or Escape close it. */
export function openDialog(
  title: string,
  children: (close: () => void) => readonly Node[],
): Promise<void> {
  return new Promise((resolve) => {
    const dialog = element("dialog", {
      "aria-label": title,
      close: () => {
        dialog.remove();
        resolve();
      },
    });
    dialog.append(element("h2", {}, title), ...children(() => dialog.close()));
    document.body.append(dialog);
    dialog.showModal();
  });
}

/** Asks a question; `undefined` when it is left unanswered. */
export async function ask<T>(
  title: string,
  text: string,
  answers: readonly { label: string; value: T; kind?: "main" | "danger" }[],
): Promise<T | undefined> {
  let chosen: T | undefined;
  await openDialog(title, (close) => {
    const buttons = answers.map(({ label, value, kind = "" }) =>
      element(
        "button",
        {
          type: "button",
          class: kind,
          click: () => {
            chosen = value;
            close();
          },
        },
        label,
      ),
    );
    const leave = element("button", { type: "button", click: close }, "Cancel");
    return [element("p", {}, text), element("div", { class: "buttons" }, ...buttons, leave)];
  });
  return chosen;
}

/** Asks for one line; `undefined` when it is left unanswered. */
export async function askText(
  title: string,
  options: { text?: string; label: string; submit: string; isSecret?: boolean },
): Promise<string | undefined> {
  let given: string | undefined;
  await openDialog(title, (close) => {
    const input = element("input", {
      "aria-label": options.label,
      type: options.isSecret === true ? "password" : "text",
      autocomplete: "off",
      spellcheck: "false",
      required: true,
    });
    const onSubmit = (event: Event) => {
      event.preventDefault();
      given = input.value.trim();
      close();
    };
    const submit = element("button", { class: "main" }, options.submit);
    const form = element("form", { submit: onSubmit }, input, submit);
    return options.text === undefined ? [form] : [element("p", {}, options.text), form];
  });
  return given === "" ? undefined : given;
}
