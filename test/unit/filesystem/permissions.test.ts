import { expect, test } from "vitest";
import { describeMode } from "../../../src/filesystem/permissions.ts";

test.for([
  [0o100644, "-rw-r--r--"],
  [0o100000, "----------"],
  [0o040755, "drwxr-xr-x"],
  [0o041777, "dtrwxrwxrwx"],
  [0o120777, "Lrwxrwxrwx"],
  [0o104755, "urwxr-xr-x"],
  [0o102755, "grwxr-xr-x"],
  [0o107777, "ugtrwxrwxrwx"],
  [0o042770, "dgrwxrwx---"],
  [0o060660, "Drw-rw----"],
  [0o020666, "Dcrw-rw-rw-"],
  [0o022666, "Dgcrw-rw-rw-"],
  [0o010600, "prw-------"],
  [0o140755, "Srwxr-xr-x"],
  [0o000644, "?rw-r--r--"],
] as const)("the mode %o reads %s", ([mode, expected]) => {
  expect(describeMode(mode)).toBe(expected);
});
