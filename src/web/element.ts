type Attributes = Readonly<Record<string, string | boolean | ((event: Event) => void) | undefined>>;

/**
 * Makes an element. Attributes that are functions listen to the event of their name; `true` sets an
 * empty attribute, `false` and `undefined` none.
 */
export function element<K extends keyof HTMLElementTagNameMap>(
  name: K,
  attributes: Attributes = {},
  ...children: readonly (Node | string)[]
): HTMLElementTagNameMap[K] {
  const made = document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) {
    if (typeof value === "function") made.addEventListener(key, value);
    else if (value !== false && value !== undefined) {
      made.setAttribute(key, value === true ? "" : value);
    }
  }
  made.append(...children);
  return made;
}

/** A button that shows `icon` alone and is called `label`. */
export function iconButton(
  icon: string,
  label: string,
  onClick: (event: Event) => void,
  attributes: Attributes = {},
): HTMLButtonElement {
  return element(
    "button",
    {
      type: "button",
      class: "icon",
      "aria-label": label,
      title: label,
      click: onClick,
      ...attributes,
    },
    drawing(icon),
  );
}

/** The drawing of that name in the page's sheet of icons. */
export function drawing(name: string): SVGSVGElement {
  const space = "http://www.w3.org/2000/svg";
  const svg = document.createElementNS(space, "svg");
  svg.setAttribute("aria-hidden", "true");
  const use = document.createElementNS(space, "use");
  use.setAttribute("href", `#icon-${name}`);
  svg.append(use);
  return svg;
}

/** Makes `children` those of `parent`. Who is one already is not taken out in between. */
export function place(parent: Element, children: readonly Element[]): void {
  const wanted = new Set(children);
  const gone = [...parent.children].filter((child) => !wanted.has(child));
  for (const child of gone) child.remove();
  for (const [at, child] of children.entries()) {
    if (parent.children[at] !== child) parent.insertBefore(child, parent.children[at] ?? null);
  }
}

/** The element of the page that `selector` names. Throws where there is none. */
export function existing(selector: string): HTMLElement {
  const found = document.querySelector<HTMLElement>(selector);
  if (found === null) throw new Error(`the page has no ${selector}`);
  return found;
}
