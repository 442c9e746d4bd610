/** Switches that programs set in a terminal and that would outlive them: what undoes each. */
const UNDO: Readonly<Record<string, string>> = {
  "1": "\x1b[?1l",
  "25": "\x1b[?25h",
  "47": "\x1b[?47l",
  "1000": "\x1b[?1000l",
  "1002": "\x1b[?1002l",
  "1003": "\x1b[?1003l",
  "1004": "\x1b[?1004l",
  "1006": "\x1b[?1006l",
  "1047": "\x1b[?1047l",
  "1049": "\x1b[?1049l",
  "2004": "\x1b[?2004l",
};
/** The one switch that is on from the beginning: the cursor is shown. */
const CURSOR = "25";
/** A switch of any length that is worth finding is shorter. */
const LONGEST = 32;

/**
 * Follows which switches of the terminal a program has set, so that it can be left in the middle
 * without leaving the screen, the mouse or the cursor as the program had them.
 */
export class ScreenModes {
  readonly #set = new Set<string>();
  #tail = "";

  /** Looks at the next output. */
  read(bytes: Uint8Array): void {
    if (this.#tail === "" && !bytes.includes(0x1b)) return;
    const text =
      this.#tail + Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length).toString("latin1");
    let end = 0;
    // oxlint-disable-next-line no-control-regex -- that is what an escape sequence begins with
    for (const match of text.matchAll(/\x1b\[\?([\d;]+)([hl])/g)) {
      end = match.index + match[0].length;
      for (const mode of (match[1] ?? "").split(";")) this.#note(mode, match[2] === "h");
    }
    const open = text.lastIndexOf("\x1b");
    this.#tail = open >= end && text.length - open < LONGEST ? text.slice(open) : "";
  }

  /** Whether the screen is another one than where the shell's lines are. */
  get isOnOtherScreen(): boolean {
    return ["47", "1047", "1049"].some((mode) => this.#set.has(mode));
  }

  /** What brings the terminal back to how programs expect it. */
  undo(): string {
    const switches = [...this.#set].map((mode) => UNDO[mode] ?? "").join("");
    return switches === "" ? "" : `${switches}\x1b[m`;
  }

  #note(mode: string, isOn: boolean): void {
    if (UNDO[mode] === undefined) return;
    if (isOn !== (mode === CURSOR)) this.#set.add(mode);
    else this.#set.delete(mode);
  }
}
