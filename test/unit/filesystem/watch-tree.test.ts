import { closeSync, openSync, renameSync, rmdirSync, rmSync } from "node:fs";
import { expect, test } from "vitest";
import { Inotify, type InotifySubscriber } from "../../../src/filesystem/inotify.ts";
import { WatchTree } from "../../../src/filesystem/watch-tree.ts";
import { makeTree, noAbort } from "../../helpers/filesystem.ts";
import { scratchDirectory } from "../../helpers/scratch.ts";

/** The real thing; `afterAdd` happens between a watch and the listing that follows it. */
class PausingInotify extends Inotify {
  afterAdd: (path: string) => void = () => {};
  override add(path: string, followsLink: boolean, subscriber: InotifySubscriber): number {
    const watch = super.add(path, followsLink, subscriber);
    this.afterAdd(path);
    return watch;
  }
}

/** A recursive watch of a new directory; `whileArming` is called as `afterAdd`. */
async function watchScratch(
  prepare: (path: string) => void = () => {},
  whileArming: (path: string) => void = () => {},
) {
  const scratch = scratchDirectory();
  prepare(scratch.path);
  const inotify = new PausingInotify();
  inotify.afterAdd = whileArming;
  const told: string[] = [];
  const tree = new WatchTree(inotify, scratch.path, true, {
    onChange: (kind, name) => told.push(`${kind} ${name}`),
    onFailure: (error) => {
      throw error;
    },
  });
  await tree.arm(noAbort);
  inotify.afterAdd = () => {};
  return {
    path: scratch.path,
    inotify,
    settled: async () => {
      await tree.settle(noAbort);
      // What happens in `afterAdd` is later than the first call.
      await tree.settle(noAbort);
      return told.splice(0);
    },
    [Symbol.dispose]: () => {
      tree.close();
      scratch[Symbol.dispose]();
      expect(inotify.isOpen).toBe(false);
    },
  };
}

test("what appears between the watch and the listing is told once", async () => {
  using watch = await watchScratch();
  watch.inotify.afterAdd = () => {
    watch.inotify.afterAdd = () => {};
    makeTree(watch.path, "a/file", "a/sub/file");
  };

  makeTree(watch.path, "a/");

  expect(await watch.settled()).toEqual([
    "create a",
    "create a/file",
    "create a/sub",
    "create a/sub/file",
  ]);
});

test("what appears, goes and comes back between them ends as present", async () => {
  using watch = await watchScratch();
  watch.inotify.afterAdd = () => {
    watch.inotify.afterAdd = () => {};
    makeTree(watch.path, "a/file");
    rmSync(`${watch.path}/a/file`);
    makeTree(watch.path, "a/file");
  };

  makeTree(watch.path, "a/");

  expect(await watch.settled()).toEqual([
    "create a",
    "create a/file",
    "remove a/file",
    "create a/file",
  ]);
});

test("what was there before the watch, goes and comes back between them ends as present", async () => {
  using watch = await watchScratch();
  watch.inotify.afterAdd = () => {
    watch.inotify.afterAdd = () => {};
    rmSync(`${watch.path}/a/file`);
    makeTree(watch.path, "a/file");
  };

  makeTree(watch.path, "a/file");

  expect(await watch.settled()).toEqual([
    "create a",
    "create a/file",
    "remove a/file",
    "create a/file",
  ]);
});

test("a directory that vanishes between them is forgotten", async () => {
  using watch = await watchScratch();
  watch.inotify.afterAdd = () => {
    watch.inotify.afterAdd = () => {};
    rmSync(`${watch.path}/a`, { recursive: true });
  };

  makeTree(watch.path, "a/");

  expect(await watch.settled()).toEqual(["create a", "remove a"]);
  expect(watch.inotify.watches).toBe(1);
});

test("what a listing has told is told again when something else takes its place later", async () => {
  using watch = await watchScratch((path) => makeTree(path, "other"));
  makeTree(watch.path, "a/file");
  await watch.settled();

  renameSync(`${watch.path}/other`, `${watch.path}/a/file`);

  expect(await watch.settled()).toEqual(["rename other", "create a/file"]);
});

test("a directory that is replaced by another between event and watch is watched as that", async () => {
  using watch = await watchScratch((path) => makeTree(path, "next/inside/"));

  makeTree(watch.path, "a/");
  rmSync(`${watch.path}/a`, { recursive: true });
  renameSync(`${watch.path}/next`, `${watch.path}/a`);
  await watch.settled();
  makeTree(watch.path, "a/inside/file");

  expect(await watch.settled()).toEqual(["create a/inside/file"]);
});

test("directories that appear while a tree is taken up are watched, too", async () => {
  using watch = await watchScratch(
    (path) => makeTree(path, "old/deep/"),
    (path) => {
      if (path.endsWith("/old")) makeTree(path, "deep/new/", "beside/new/");
    },
  );
  await watch.settled();

  makeTree(watch.path, "old/deep/new/file", "old/beside/new/file");

  expect(await watch.settled()).toEqual(["create old/deep/new/file", "create old/beside/new/file"]);
});

test("a directory that lives on after its removal does not stand in for the next one", async () => {
  using watch = await watchScratch((path) => makeTree(path, "a/", "kept/"));
  const fd = openSync(`${watch.path}/a`, "r");
  rmdirSync(`${watch.path}/a`);
  makeTree(watch.path, "a/");
  await watch.settled();
  closeSync(fd);
  await watch.settled();

  renameSync(`${watch.path}/a`, `${watch.path}.out`);
  await watch.settled();
  rmdirSync(`${watch.path}.out`);

  expect(watch.inotify.watches).toBe(2);
});
