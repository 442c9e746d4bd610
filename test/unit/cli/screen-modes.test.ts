import { describe, expect, test } from "vitest";
import { ScreenModes } from "../../../src/cli/screen-modes.ts";

function after(...pieces: string[]): ScreenModes {
  const modes = new ScreenModes();
  for (const piece of pieces) modes.read(Buffer.from(piece));
  return modes;
}

describe("the switches of a screen", () => {
  test("are undone when a program has left them on", () => {
    expect(after("\x1b[?1049h\x1b[?25lhello").undo()).toBe("\x1b[?1049l\x1b[?25h\x1b[m");
    expect(after("\x1b[?1002;1006h").undo()).toBe("\x1b[?1002l\x1b[?1006l\x1b[m");
  });

  test("that a program has put back are left alone", () => {
    expect(after("\x1b[?1049h\x1b[?25l", "\x1b[?25h\x1b[?1049l").undo()).toBe("");
    expect(after("plain \x1b[1;31mred").undo()).toBe("");
  });

  test("are found across pieces", () => {
    expect(after("x\x1b[?10", "49", "h").isOnOtherScreen).toBe(true);
    expect(after("\x1b[?1049h", "\x1b[?1049", "l").isOnOtherScreen).toBe(false);
  });
});
