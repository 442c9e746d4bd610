import { spawnSync } from "node:child_process";
import { mkdirSync, mkdtempSync, rmSync, truncateSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";

/** A small ext4 file system of its own on a loop device; thawed, unmounted and removed at the end. */
export class ScratchMount implements Disposable {
  readonly #directory = mkdtempSync(join(tmpdir(), "thaw-scratch-"));
  readonly path = join(this.#directory, "mnt");

  constructor() {
    mkdirSync(this.path);
    const image = join(this.#directory, "image");
    writeFileSync(image, "");
    truncateSync(image, 16 * 1024 * 1024);
    try {
      run("mkfs.ext4", "-q", "-F", image);
      run("mount", "-o", "loop", image, this.path);
    } catch (error) {
      rmSync(this.#directory, { recursive: true });
      throw error;
    }
  }

  [Symbol.dispose](): void {
    // What is not frozen any more cannot be thawed, and that is well.
    call("fsfreeze", "-u", this.path);
    run("umount", this.path);
    rmSync(this.#directory, { recursive: true });
  }
}

/** Why this machine cannot mount one, in words; `undefined` when it can. */
export function scratchProblem(): string | undefined {
  try {
    using _ = new ScratchMount();
    return undefined;
  } catch (error) {
    return (error as Error).message;
  }
}

function run(program: string, ...args: string[]): void {
  const { status, stderr, error } = call(program, ...args);
  if (status !== 0) throw error ?? new Error(`${program}: ${stderr.trim()}`);
}

function call(program: string, ...args: string[]) {
  return spawnSync(program, args, { encoding: "utf8" });
}
