import { describe, expect, test } from "vitest";
import { Escapes, type Typed } from "../../../src/cli/escapes.ts";

/** What was found in pieces, as text. */
function read(pieces: readonly string[], escape: string | undefined = "~"): (string | Typed)[] {
  const escapes = new Escapes(escape);
  return pieces
    .flatMap((piece) => escapes.read(Buffer.from(piece)))
    .map((typed) => (typed.kind === "bytes" ? Buffer.from(typed.bytes).toString() : typed));
}

describe("escapes", () => {
  test("are found at the beginning of a line", () => {
    expect(read(["ls\r~."])).toEqual(["ls\r", { kind: "leave" }]);
    expect(read(["~?"])).toEqual([{ kind: "help" }]);
    expect(read(["a\n~\x1a"])).toEqual(["a\n", { kind: "suspend" }]);
  });

  test("are plain in the middle of one", () => {
    expect(read(["a~.", "~."])).toEqual(["a~.", "~."]);
  });

  test("are found in pieces", () => {
    expect(read(["x\r", "~", "."])).toEqual(["x\r", { kind: "leave" }]);
  });

  test("twice are the character itself, and with another key both", () => {
    expect(read(["~~."])).toEqual(["~."]);
    expect(read(["~/x"])).toEqual(["~/x"]);
    expect(read(["~\r~."])).toEqual(["~\r", { kind: "leave" }]);
  });

  test("can be switched off", () => {
    expect(read(["~."], "")).toEqual(["~."]);
    expect(new Escapes(undefined).read(Buffer.from("~."))).toEqual([
      { kind: "bytes", bytes: Buffer.from("~.") },
    ]);
  });
});
