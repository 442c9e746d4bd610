import { element } from "./element.ts";

/**
 * Takes a name in place of a row. `onDone` gets it; `undefined` when it is left by Escape or by going
 * elsewhere.
 */
export function nameForm(
  name: string,
  label: string,
  onDone: (name: string | undefined) => void,
): { node: HTMLElement; focus(): void } {
  let isDone = false;
  const done = (given: string | undefined) => {
    if (isDone) return;
    isDone = true;
    onDone(given);
  };
  const input = element("input", {
    "aria-label": label,
    value: name,
    autocomplete: "off",
    spellcheck: "false",
    required: true,
    pattern: "[^\\/]+",
    title: "A name without a slash",
    blur: () => done(undefined),
    keydown: (event) => {
      if ((event as KeyboardEvent).key === "Escape") done(undefined);
    },
  });
  const onSubmit = (event: Event) => {
    event.preventDefault();
    done(input.value);
  };
  return {
    node: element("form", { submit: onSubmit }, input),
    focus: () => {
      input.focus();
      const dot = name.lastIndexOf(".");
      input.setSelectionRange(0, dot > 0 ? dot : name.length);
    },
  };
}
