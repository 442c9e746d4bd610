import { readFileSync, renameSync } from "node:fs";
import { afterEach, describe, expect, test } from "vitest";
import { Watchers, type WatchersOptions } from "../../../src/filesystem/watchers.ts";
import { makeTree, noAbort, users } from "../../helpers/filesystem.ts";
import { scratchDirectory } from "../../helpers/scratch.ts";

const open: Watchers[] = [];

afterEach(() => {
  for (const watchers of open.splice(0)) watchers.closeAll();
});

function newWatchers(options: Partial<WatchersOptions> = {}): Watchers {
  const watchers = new Watchers({ names: users, ...options });
  open.push(watchers);
  return watchers;
}

const request = (path: string) => ({
  path,
  isRecursive: true,
  includesEntries: false,
  allowsNetworkMounts: false,
});

const all = Number.POSITIVE_INFINITY;

describe("a durable watcher", () => {
  test("tells the same again to who asks again", async () => {
    using scratch = scratchDirectory();
    const watchers = newWatchers();
    const id = await watchers.createDurable(request(scratch.path), false, noAbort);
    makeTree(scratch.path, "a", "b");

    const first = await watchers.page(id, 0, noAbort);
    const again = await watchers.page(id, 0, noAbort);
    const second = await watchers.page(id, 1, noAbort);

    expect(first).toMatchObject({ changes: [{ name: "a" }, { name: "b" }], after: 0 });
    expect(again).toEqual(first);
    expect(second).toMatchObject({ changes: [{ name: "b" }], after: 1, isLost: false });
    await expect(watchers.page(id, 3, noAbort)).rejects.toMatchObject({
      code: "out-of-range",
      message: "change 3 is still to come: the latest is 2",
    });
  });

  test("goes on when the kernel's own queue ran over, and says that changes were lost", async () => {
    using scratch = scratchDirectory();
    makeTree(scratch.path, "deep/");
    const limit = Number(readFileSync("/proc/sys/fs/inotify/max_queued_events", "utf8"));
    const watchers = newWatchers();
    const id = await watchers.createDurable(request(scratch.path), false, noAbort);
    using reading = watchers.readDurable(id);
    const { watcher } = reading;

    for (let index = 0; index <= limit; index += 1) {
      renameSync(scratch.path, `${scratch.path}-${index % 2}`);
      renameSync(`${scratch.path}-${index % 2}`, scratch.path);
      makeTree(scratch.path, `${index % 2}`);
    }
    let page = await watcher.read(0, all, noAbort);
    while (!page.isLost) {
      const last = page.after + page.changes.length;
      expect(await watcher.ready(last, 60_000, noAbort)).toBe(true);
      page = await watcher.read(last, all, noAbort);
    }

    makeTree(scratch.path, "deep/new");
    await watcher.settle(noAbort);
    const { changes, isLost } = await watcher.read(page.after, all, noAbort);
    expect(changes.map(({ name }) => name)).toContain("deep/new");
    expect(isLost).toBe(false);
  });

  test("keeps no more than its bound, and says what is gone", async () => {
    using scratch = scratchDirectory();
    const watchers = newWatchers({ mostKeptChanges: 2 });
    const id = await watchers.createDurable(request(scratch.path), false, noAbort);
    makeTree(scratch.path, "a", "b", "c");

    await expect(watchers.page(id, 0, noAbort)).resolves.toMatchObject({
      changes: [{ name: "b" }, { name: "c" }],
      after: 1,
      isLost: true,
    });
  });

  test("of a stream goes when nobody has come back for it, and not before", async () => {
    using scratch = scratchDirectory();
    const watchers = newWatchers({ awayMs: 1 });
    const id = await watchers.createDurable(request(scratch.path), true, noAbort);
    const reading = watchers.readDurable(id);
    const second = watchers.readDurable(id);
    second[Symbol.dispose]();
    second[Symbol.dispose]();
    expect(await reading.watcher.ready(0, 50, noAbort)).toBe(false);

    reading[Symbol.dispose]();

    await expect.poll(() => watchers.watchedDirectories).toBe(0);
    expect(() => watchers.readDurable(id)).toThrow(`watcher with id ${id} not found`);
  });

  test("that is removed wakes its readers and says so", async () => {
    using scratch = scratchDirectory();
    const watchers = newWatchers();
    const id = await watchers.createDurable(request(scratch.path), false, noAbort);
    using reading = watchers.readDurable(id);
    const waiting = reading.watcher.ready(0, 60_000, noAbort);

    watchers.remove(id);

    expect(await waiting).toBe(true);
    await expect(reading.watcher.read(0, all, noAbort)).rejects.toMatchObject({
      code: "not-found",
      message: "the watcher was removed: watch again",
    });
    expect(watchers.watchedDirectories).toBe(0);
  });

  test("is one of 256 at most", async () => {
    using scratch = scratchDirectory();
    const watchers = newWatchers();
    const make = () => watchers.createDurable(request(scratch.path), false, noAbort);
    const ids = await Promise.all(Array.from({ length: 256 }, make));

    await expect(make()).rejects.toMatchObject({
      code: "exhausted",
      message: "there are 256 durable watchers: remove one",
    });
    watchers.remove(ids[0] ?? "");
    await expect(make()).resolves.toMatch(/^w/);
  });
});
