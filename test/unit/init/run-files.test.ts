import { mkdtempSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, expect, test } from "vitest";
import { RunFiles } from "../../../src/init/run-files.ts";
import { createLog } from "../../../src/log.ts";

const log = createLog("silent");
let directory: string;
beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), "thaw-"));
});
afterEach(() => rmSync(directory, { recursive: true }));

test("programs learn where they are, and cannot change it", async () => {
  const runDir = join(directory, "e2b");
  const files = new RunFiles(runDir, "E2B", log);

  await files.writeSandbox(true);
  await files.writeSandbox(false);

  const path = join(runDir, ".E2B_SANDBOX");
  expect(readFileSync(path, "utf8")).toBe("false");
  expect(statSync(path).mode & 0o7777).toBe(0o444);
  expect(statSync(runDir).mode & 0o7777).toBe(0o755);
});

test("the ids follow when they are known", async () => {
  const umask = process.umask(0o022);
  try {
    await new RunFiles(directory, "WRENN", log).writeIds("sandbox", "template");
  } finally {
    process.umask(umask);
  }

  expect(readdirSync(directory).sort()).toEqual([".WRENN_SANDBOX_ID", ".WRENN_TEMPLATE_ID"]);
  expect(readFileSync(join(directory, ".WRENN_SANDBOX_ID"), "utf8")).toBe("sandbox");
  expect(readFileSync(join(directory, ".WRENN_TEMPLATE_ID"), "utf8")).toBe("template");
  expect(statSync(join(directory, ".WRENN_SANDBOX_ID")).mode & 0o7777).toBe(0o644);
});

test("a directory that cannot be is no failure", async () => {
  writeFileSync(join(directory, "file"), "");
  const files = new RunFiles(join(directory, "file", "below"), "E2B", log);

  await expect(files.writeSandbox(true)).resolves.toBeUndefined();
});
