import { chmodSync, mkdirSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import type { FilesystemEvent, Sandbox } from "e2b";
import { describe, expect, vi } from "vitest";
import { EventType, Filesystem } from "../../gen/filesystem/filesystem_pb.js";
import { test as base } from "../helpers/sandbox.ts";

type WatchOptions = Parameters<Sandbox["files"]["watchDir"]>[2];

interface Watched {
  /** Names a path in the watched directory. */
  at(name: string): string;
  /** Watches it, and tells each event as "type name". */
  watch(options?: WatchOptions): Promise<Recording>;
}

interface Recording {
  events: FilesystemEvent[];
  /** Waits until exactly these have come. */
  shows(...expected: string[]): Promise<void>;
  stop(): Promise<void>;
}

const test = base.extend<{ watched: Watched }>({
  watched: async ({ agent, sandbox }, use) => {
    const directory = join(agent.directory, "watched");
    mkdirSync(directory);
    await use({
      at: (name) => join(directory, name),
      watch: async (options) => {
        const events: FilesystemEvent[] = [];
        const handle = await sandbox.files.watchDir(
          directory,
          (event) => void events.push(event),
          options,
        );
        const shows = (...expected: string[]) =>
          vi.waitFor(() => {
            expect(events.map(({ type, name }) => `${type} ${name}`)).toEqual(expected);
          }, 15_000);
        return { events, shows, stop: () => handle.stop() };
      },
    });
  },
});

describe("a watch of the e2b package", () => {
  test("tells what happens, in order and nothing else", async ({ watched: { at, watch } }) => {
    const recording = await watch();

    writeFileSync(at("file"), "content");
    chmodSync(at("file"), 0o600);
    renameSync(at("file"), at("other"));
    rmSync(at("other"));
    mkdirSync(at("directory"));
    rmSync(at("directory"), { recursive: true });

    await recording.shows(
      "create file",
      "write file",
      "chmod file",
      "rename file",
      "create other",
      "remove other",
      "create directory",
      "remove directory",
    );
    await recording.stop();
  });

  test("tells three things of an uploaded new file", async ({
    sandbox,
    watched: { at, watch },
  }) => {
    const recording = await watch();

    await sandbox.files.write(at("file"), "content");

    await recording.shows("create file", "chmod file", "write file");
    await recording.stop();
  });

  test("tells nothing of what is below, unless it is recursive", async ({
    watched: { at, watch },
  }) => {
    mkdirSync(at("sub"));
    const flat = await watch();
    const deep = await watch({ recursive: true });

    writeFileSync(at("sub/file"), "");
    writeFileSync(at("last"), "");

    await deep.shows("create sub/file", "create last");
    await flat.shows("create last");
    await Promise.all([flat.stop(), deep.stop()]);
  });

  test("that is recursive follows new directories, and misses nothing in them", async ({
    watched: { at, watch },
  }) => {
    const recording = await watch({ recursive: true });

    mkdirSync(at("a/b/c"), { recursive: true });
    writeFileSync(at("a/b/c/file"), "");

    await vi.waitFor(() => {
      expect(recording.events.map(({ type, name }) => `${type} ${name}`)).toEqual(
        expect.arrayContaining(["create a", "create a/b", "create a/b/c", "create a/b/c/file"]),
      );
    }, 15_000);
    await recording.stop();
  });

  test("tells facts of an entry that is there, if asked", async ({ watched: { at, watch } }) => {
    const recording = await watch({ includeEntry: true });

    writeFileSync(at("file"), "12345");
    await recording.shows("create file", "write file");
    rmSync(at("file"));
    await recording.shows("create file", "write file", "remove file");

    const [create, write, remove] = recording.events;
    expect(create?.entry).toMatchObject({ path: at("file"), type: "file" });
    expect(write?.entry).toMatchObject({ path: at("file"), size: 5, permissions: "-rw-r--r--" });
    expect(remove?.entry).toBeUndefined();
    await recording.stop();
  });

  test("may be allowed network mounts, and is a watch all the same", async ({
    watched: { at, watch },
  }) => {
    const recording = await watch({ allowNetworkMounts: true });

    mkdirSync(at("directory"));

    await recording.shows("create directory");
    await recording.stop();
  });

  test("tells nothing after it is stopped, and says goodbye once", async ({
    watched: { at, watch },
  }) => {
    const onExit = vi.fn<(reason?: Error) => void>();
    const recording = await watch({ onExit });
    const other = await watch();

    await recording.stop();
    await vi.waitFor(() => expect(onExit).toHaveBeenCalledOnce(), 15_000);
    writeFileSync(at("file"), "");

    await other.shows("create file");
    expect(recording.events).toEqual([]);
    await other.stop();
  });

  test("ends with its time limit", async ({ watched: { watch } }) => {
    const onExit = vi.fn<(reason?: Error) => void>();

    await watch({ timeoutMs: 300, onExit });

    await vi.waitFor(() => expect(onExit).toHaveBeenCalledOnce(), 15_000);
    expect(onExit.mock.calls[0]?.[0]?.name).toBe("TimeoutError");
  });

  test("outlives its directory", async ({ watched: { at, watch } }) => {
    const onExit = vi.fn<(reason?: Error) => void>();
    const recording = await watch({ onExit });

    rmSync(at(""), { recursive: true });

    await recording.shows("remove .");
    expect(onExit).not.toHaveBeenCalled();
    await recording.stop();
  });
});

describe("a stored watcher, as the synchronous Python package uses it", () => {
  test("gives everything since the last question, and forgets it", async ({ agent, watched }) => {
    const files = agent.client(Filesystem, "h1-json");
    const { watcherId } = await files.createWatcher({ path: watched.at(""), recursive: true });

    writeFileSync(watched.at("file"), "content");
    const first = await files.getWatcherEvents({ watcherId });
    const second = await files.getWatcherEvents({ watcherId });
    await files.removeWatcher({ watcherId });

    expect(watcherId).toMatch(/^w[a-z0-9]{20}$/);
    expect(first.events.map(({ type, name }) => [type, name])).toEqual([
      [EventType.CREATE, "file"],
      [EventType.WRITE, "file"],
    ]);
    expect(second.events).toEqual([]);
    await expect(files.getWatcherEvents({ watcherId })).rejects.toThrow(
      `watcher with id ${watcherId} not found`,
    );
    await expect(files.removeWatcher({ watcherId })).rejects.toThrow("not found");
  });

  test("knows of an upload as soon as that is answered", async ({ agent, sandbox, watched }) => {
    const files = agent.client(Filesystem, "h1-json");
    const { watcherId } = await files.createWatcher({ path: watched.at("") });

    for (let round = 0; round < 20; round++) {
      await sandbox.files.write(watched.at(`file ${round}`), "content");
      const { events } = await files.getWatcherEvents({ watcherId });
      expect(events.map(({ type }) => type)).toEqual([
        EventType.CREATE,
        EventType.CHMOD,
        EventType.WRITE,
      ]);
    }
    await files.removeWatcher({ watcherId });
  });
});
