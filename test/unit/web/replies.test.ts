import { expect, test } from "vitest";
import { isReply } from "../../../src/web/replies.ts";

test.for<[string, string]>([
  ["\x1b[?1;2c", "what it is"],
  ["\x1b[>0;276;0c", "which version it is"],
  ["\x1b[12;40R", "where its cursor is"],
  ["\x1b[?2026;2$y", "which mode it is in"],
  ["\x1b]11;rgb:0d0d/1212/1616\x1b\\", "which colour its ground has"],
  ["\x1b[0n\x1b[1;1R", "two things at once"],
])("%j is a terminal's answer: %s", ([text]) => {
  expect(isReply(text)).toBe(true);
});

test.for([
  "a",
  "\r",
  "\x03",
  "\x1b",
  "\x1b[A",
  "\x1b[1;5C",
  "\x1bOP",
  "\x1b[15~",
  "\x1b[200~ls\x1b[201~",
])("%j was typed", (text) => {
  expect(isReply(text)).toBe(false);
});
