import { spawnSync } from "node:child_process";
import {
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  truncateSync,
  writeFileSync,
} from "node:fs";
import { readFile, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, test, vi } from "vitest";
import { FileSystemFreeze } from "../../../src/system/file-system-freeze.ts";

let directory: string;
let mountPoint: string;
beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), "thaw-"));
  mountPoint = join(directory, "mnt");
  mkdirSync(mountPoint);
});
afterEach(() => {
  spawnSync("fsfreeze", ["-u", mountPoint]);
  spawnSync("umount", [mountPoint]);
  rmSync(directory, { recursive: true });
});

/** Notes whether the rest of the agent was told to keep quiet. */
function quietProbe() {
  return { isHeld: false, hold: vi.fn(), release: vi.fn() };
}

const LOOP_REASON = loopProblem();
if (LOOP_REASON !== undefined)
  console.warn(`no loop device here, freezes untested: ${LOOP_REASON}`);

/** Makes a small file system of its own on a loop device. */
function mountScratch(at: string, image: string): string | undefined {
  writeFileSync(image, "");
  truncateSync(image, 16 * 1024 * 1024);
  const steps = [
    ["mkfs.ext4", "-q", "-F", image],
    ["mount", "-o", "loop", image, at],
  ] as const;
  for (const [program, ...args] of steps) {
    const { status, stderr, error } = spawnSync(program, args, { encoding: "utf8" });
    if (status !== 0) return error?.message ?? stderr;
  }
  return undefined;
}

function loopProblem(): string | undefined {
  const probe = mkdtempSync(join(tmpdir(), "thaw-"));
  const at = join(probe, "mnt");
  mkdirSync(at);
  const problem = mountScratch(at, join(probe, "image"));
  spawnSync("umount", [at]);
  rmSync(probe, { recursive: true });
  return problem;
}

/** How many threads of this process wait in the kernel for something no signal ends. */
function waitingThreads(): number {
  return readdirSync("/proc/self/task").filter((id) =>
    / D /.test(readFileSync(`/proc/self/task/${id}/stat`, "latin1").replace(/^.*\)/, "")),
  ).length;
}

test("a file system that cannot be frozen says so, and the agent talks on", async () => {
  expect(spawnSync("mount", ["-t", "tmpfs", "tmpfs", mountPoint]).status).toBe(0);
  const quiet = quietProbe();
  const freeze = new FileSystemFreeze(quiet, mountPoint);

  await expect(freeze.freeze()).rejects.toMatchObject({ code: "EOPNOTSUPP" });

  expect(quiet.release).toHaveBeenCalledTimes(1);
  await freeze.close();
});

test("a path that does not exist is an error", async () => {
  const freeze = new FileSystemFreeze(quietProbe(), join(directory, "none"));

  await expect(freeze.freeze()).rejects.toMatchObject({ code: "ENOENT" });
  await expect(freeze.thaw()).rejects.toMatchObject({ code: "ENOENT" });
});

describe.skipIf(LOOP_REASON !== undefined)("on a file system of its own", () => {
  beforeEach(() => {
    expect(mountScratch(mountPoint, join(directory, "image"))).toBeUndefined();
  });

  test("a write waits until the thaw, even with all pool threads waiting", async () => {
    const quiet = quietProbe();
    const freeze = new FileSystemFreeze(quiet, mountPoint);
    await freeze.freeze();
    expect(quiet.hold).toHaveBeenCalledTimes(1);
    expect(quiet.release).not.toHaveBeenCalled();

    let written = 0;
    const writes = Array.from({ length: 8 }, async (_, number) => {
      await writeFile(join(mountPoint, `file-${number}`), "text");
      written += 1;
    });
    await expect.poll(waitingThreads).toBe(4);
    expect(written).toBe(0);

    await freeze.thaw();
    await Promise.all(writes);

    expect(await readFile(join(mountPoint, "file-7"), "utf8")).toBe("text");
    expect(quiet.release).toHaveBeenCalledTimes(1);
  });

  test("freezing twice and thawing twice is no error", async () => {
    const freeze = new FileSystemFreeze(quietProbe(), mountPoint);

    await freeze.freeze();
    await freeze.freeze();
    await freeze.thaw();
    await freeze.thaw();

    await writeFile(join(mountPoint, "file"), "text");
  });

  test("who has left leaves nothing frozen", async () => {
    const freeze = new FileSystemFreeze(quietProbe(), mountPoint);
    const leaving = new AbortController();
    const freezing = freeze.freeze(leaving.signal);
    leaving.abort(new Error("gone"));

    await expect(freezing).rejects.toThrow("gone");

    await writeFile(join(mountPoint, "file"), "text");
  });

  test("who leaves while the freeze is under way leaves nothing frozen", async () => {
    const leaving = new AbortController();
    const quiet = { ...quietProbe(), hold: () => leaving.abort(new Error("gone")) };
    const freeze = new FileSystemFreeze(quiet, mountPoint);

    await expect(freeze.freeze(leaving.signal)).rejects.toThrow("gone");

    expect(quiet.release).toHaveBeenCalledTimes(1);
    await writeFile(join(mountPoint, "file"), "text");
  });

  test("closing undoes a freeze", async () => {
    const freeze = new FileSystemFreeze(quietProbe(), mountPoint);
    await freeze.freeze();

    await freeze.close();

    await writeFile(join(mountPoint, "file"), "text");
  });

  test("a freeze that nobody undoes is undone after ten minutes", async () => {
    vi.useFakeTimers({ toFake: ["setTimeout", "clearTimeout"] });
    try {
      await new FileSystemFreeze(quietProbe(), mountPoint).freeze();
      vi.advanceTimersByTime(10 * 60 * 1_000);
    } finally {
      vi.useRealTimers();
    }

    await writeFile(join(mountPoint, "file"), "text");
  });
});
