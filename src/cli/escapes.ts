/** What a person typed: bytes for the guest, or a wish to us. */
export type Typed =
  | { kind: "bytes"; bytes: Uint8Array }
  /** Leave the program, which lives on. */
  | { kind: "leave" }
  /** Stop, as Ctrl-Z would. */
  | { kind: "suspend" }
  /** Show what can be typed. */
  | { kind: "help" };

const CR = 0x0d;
const LF = 0x0a;
const WISHES: Readonly<Record<number, "leave" | "suspend" | "help">> = {
  0x2e: "leave",
  0x1a: "suspend",
  0x3f: "help",
};

/** What `~?` shows; `~` stands for the escape character. */
export const ESCAPES_HELP = `~.   leave: the program lives on
~^Z  suspend thaw
~~   a ~ itself
~?   this
`;

/**
 * Finds escapes in what is typed, as ssh does: the escape character counts at the beginning of a
 * line alone, and twice it is itself.
 */
export class Escapes {
  readonly #escape: number | undefined;
  #isLineStart = true;
  #isPending = false;

  /** `character`: one of ASCII; `undefined` finds nothing. */
  constructor(character: string | undefined) {
    this.#escape = character?.charCodeAt(0);
  }

  /** Splits the next bytes. An escape may begin in one piece and end in another. */
  read(bytes: Uint8Array): Typed[] {
    if (this.#escape === undefined) return [{ kind: "bytes", bytes }];
    const typed: Typed[] = [];
    let plain: number[] = [];
    const flush = () => {
      if (plain.length > 0) typed.push({ kind: "bytes", bytes: Uint8Array.from(plain) });
      plain = [];
    };
    for (const byte of bytes) {
      const wish = this.#isPending ? WISHES[byte] : undefined;
      if (wish !== undefined) {
        flush();
        typed.push({ kind: wish });
        this.#isPending = false;
        this.#isLineStart = true;
      } else plain.push(...this.#plain(byte, this.#escape));
    }
    flush();
    return typed;
  }

  #plain(byte: number, escape: number): number[] {
    if (this.#isPending) {
      this.#isPending = false;
      this.#isLineStart = byte === CR || byte === LF;
      return byte === escape ? [byte] : [escape, byte];
    }
    if (this.#isLineStart && byte === escape) {
      this.#isPending = true;
      return [];
    }
    this.#isLineStart = byte === CR || byte === LF;
    return [byte];
  }
}
