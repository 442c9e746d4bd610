/** A style element whose rules come by script, which the page's policy allows, not by markup. */
class AdoptedStyle extends HTMLElement {
  readonly #sheet = new CSSStyleSheet();

  override get textContent(): string {
    return [...this.#sheet.cssRules].map(({ cssText }) => cssText).join("\n");
  }

  override set textContent(css: string) {
    this.#sheet.replaceSync(css);
  }

  connectedCallback(): void {
    document.adoptedStyleSheets.push(this.#sheet);
  }

  disconnectedCallback(): void {
    document.adoptedStyleSheets = document.adoptedStyleSheets.filter(
      (sheet) => sheet !== this.#sheet,
    );
  }
}

/**
 * Lets xterm.js work under `style-src 'self'`: it writes `<style>` elements and `style` attributes,
 * which that refuses, where the same by script is allowed. For a page of one's own: it changes what
 * `document` and every element do.
 */
export function allowStylesByScript(): void {
  customElements.define("adopted-style", AdoptedStyle);
  const { createElement } = document;
  document.createElement = (name: string, options?: ElementCreationOptions) =>
    createElement.call(document, name.toLowerCase() === "style" ? "adopted-style" : name, options);
  const { setAttribute } = Element.prototype;
  Element.prototype.setAttribute = function setStyleByScript(name: string, value: string) {
    if (name === "style" && this instanceof HTMLElement) this.style.cssText = value;
    else setAttribute.call(this, name, value);
  };
}
