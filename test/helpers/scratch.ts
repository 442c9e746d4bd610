import { execFileSync } from "node:child_process";
import { mkdtempSync, readdirSync, readlinkSync, rmSync } from "node:fs";

/** A directory that is gone when the scope is left. */
export function scratchDirectory(): Disposable & { path: string } {
  const path = mkdtempSync("/tmp/thaw-test-");
  return { path, [Symbol.dispose]: () => rmSync(path, { recursive: true, force: true }) };
}

/** A small filesystem of its own, mounted as long as the scope lasts. Needs root. */
export function smallFilesystem(options: string): Disposable & { path: string } {
  const path = mkdtempSync("/tmp/thaw-small-");
  execFileSync("mount", ["-t", "tmpfs", "-o", options, "thaw-test", path]);
  return {
    path,
    [Symbol.dispose]: () => {
      execFileSync("umount", ["-l", path]);
      rmSync(path, { recursive: true, force: true });
    },
  };
}

/** Which files of `directory` this process has open, deleted and nameless ones included. */
export function openFilesIn(directory: string): string[] {
  return readdirSync("/proc/self/fd")
    .map((fd) => {
      try {
        return readlinkSync(`/proc/self/fd/${fd}`);
      } catch {
        return "";
      }
    })
    .filter((target) => target.startsWith(`${directory}/`));
}
