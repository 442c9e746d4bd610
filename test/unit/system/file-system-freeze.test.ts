import { readdirSync, readFileSync } from "node:fs";
import { readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, test, vi } from "vitest";
import { FileSystemFreeze } from "../../../src/system/file-system-freeze.ts";
import { ScratchMount, scratchProblem } from "../../helpers/scratch-mount.ts";

/** Notes whether the rest of the agent was told to keep quiet. */
function quietProbe() {
  return { isHeld: false, hold: vi.fn(), release: vi.fn() };
}

const problem = scratchProblem();
if (problem !== undefined) console.warn(`freezes are not tested, no loop device: ${problem}`);

/** How many threads of this process wait in the kernel for something no signal ends. */
function waitingThreads(): number {
  return readdirSync("/proc/self/task").filter((id) =>
    / D /.test(readFileSync(`/proc/self/task/${id}/stat`, "latin1").replace(/^.*\)/, "")),
  ).length;
}

test("a file system that cannot be frozen says so, and the agent talks on", async () => {
  const quiet = quietProbe();
  const freeze = new FileSystemFreeze(quiet, "/proc");

  await expect(freeze.freeze()).rejects.toMatchObject({ code: "ENOTSUP" });

  expect(quiet.release).toHaveBeenCalledTimes(1);
  await freeze.close();
});

test("a path that does not exist is an error", async () => {
  const freeze = new FileSystemFreeze(quietProbe(), "/thaw/no/such");

  await expect(freeze.freeze()).rejects.toMatchObject({ code: "ENOENT" });
  await expect(freeze.thaw()).rejects.toMatchObject({ code: "ENOENT" });
});

describe.skipIf(problem !== undefined)("on a file system of its own", () => {
  let mount: ScratchMount;
  let mountPoint: string;
  beforeEach(() => {
    mount = new ScratchMount();
    mountPoint = mount.path;
  });
  afterEach(() => mount[Symbol.dispose]());

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
