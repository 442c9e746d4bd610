const KEY = "thaw.screen-reader";

/** What a person has set, kept by the browser. */
class Preferences extends EventTarget {
  #screenReader = localStorage.getItem(KEY) === "1";

  /** Whether terminals speak to a screen reader, which costs speed. */
  get screenReader(): boolean {
    return this.#screenReader;
  }

  set screenReader(is: boolean) {
    this.#screenReader = is;
    localStorage.setItem(KEY, is ? "1" : "0");
    this.dispatchEvent(new Event("change"));
  }

  /** The terminals' font size in pixels: screens of 4K are seldom looked at from nearby. */
  get fontSize(): number {
    return innerWidth >= 2_400 ? 18 : 14;
  }
}

/** The one set of preferences. */
export const preferences = new Preferences();
