import { execFileSync } from "node:child_process";
import { expect, test } from "vitest";
import { openFileLimit } from "../../../src/system/open-file-limit.ts";

test("the limit of open files is that of this process", () => {
  const limit = ["--nofile", "--raw", "--noheadings", "--output", "SOFT"];
  const told = execFileSync("prlimit", ["--pid", String(process.pid), ...limit])
    .toString()
    .trim();

  expect(openFileLimit()).toBe(told === "unlimited" ? Number.POSITIVE_INFINITY : Number(told));
});
