import { readdirSync, readFileSync } from "node:fs";
import { expect, test, vi } from "vitest";
import { runCommand } from "../../../src/system/run-command.ts";
import { limitFiles } from "../../helpers/limit-files.ts";

/** The command lines of all living processes. */
function commandLines(): string[] {
  return readdirSync("/proc")
    .filter((name) => /^\d+$/.test(name))
    .map((pid) => {
      try {
        return readFileSync(`/proc/${pid}/cmdline`, "utf8").replaceAll("\0", " ").trim();
      } catch {
        return "";
      }
    });
}

test("a helper's exit code and output come back", async () => {
  const result = await runCommand(["sh", "-c", "echo out; echo err >&2; exit 3"], {
    timeoutMs: 5_000,
  });

  expect(result).toEqual({ exitCode: 3, stdout: "out\n", stderr: "err\n" });
});

test("a helper that a signal ends has no exit code", async () => {
  const result = await runCommand(["sh", "-c", "kill -9 $$"], { timeoutMs: 5_000 });

  expect(result.exitCode).toBeUndefined();
});

test("endless output is cut", async () => {
  const result = await runCommand(["head", "-c", "10000000", "/dev/zero"], { timeoutMs: 5_000 });

  expect(result.exitCode).toBe(0);
  expect(result.stdout).toHaveLength(65_536);
});

test("a missing helper is told by its code", async () => {
  await expect(runCommand(["thaw-no-such"], { timeoutMs: 5_000 })).rejects.toMatchObject({
    code: "ENOENT",
  });
});

test("a helper for which no descriptors are left is told by its code", async () => {
  const running = (() => {
    using _ = limitFiles(1);
    return runCommand(["true"], { timeoutMs: 1_000 });
  })();

  await expect(running).rejects.toMatchObject({ code: "EMFILE" });
});

test("a helper that takes too long is killed with all it started", async () => {
  const running = runCommand(["sh", "-c", "sleep 81.5 & sleep 81.5"], { timeoutMs: 50 });

  await expect(running).rejects.toThrow("sh: no end after 50 ms");
  await vi.waitFor(() => expect(commandLines()).not.toContain("sleep 81.5"));
});

test("an abort kills the helper", async () => {
  const leaving = new AbortController();
  const running = runCommand(["sleep", "82.5"], { timeoutMs: 60_000, signal: leaving.signal });
  await vi.waitFor(() => expect(commandLines()).toContain("sleep 82.5"));

  leaving.abort(new Error("gone"));

  await expect(running).rejects.toThrow("gone");
  await vi.waitFor(() => expect(commandLines()).not.toContain("sleep 82.5"));
});

test("nothing is started for somebody who is gone already", async () => {
  const gone = AbortSignal.abort(new Error("gone"));

  await expect(runCommand(["sleep", "83.5"], { timeoutMs: 60_000, signal: gone })).rejects.toThrow(
    "gone",
  );
  expect(commandLines()).not.toContain("sleep 83.5");
});
