import { writeFileSync } from "node:fs";
import { afterEach, expect, test } from "vitest";
import {
  IN,
  Inotify,
  type InotifyEvent,
  type InotifySubscriber,
} from "../../../src/filesystem/inotify.ts";
import { nextTurn } from "../../../src/lib/turns.ts";
import { makeTree } from "../../helpers/filesystem.ts";
import { scratchDirectory } from "../../helpers/scratch.ts";

class Recorder implements InotifySubscriber {
  readonly events: InotifyEvent[] = [];
  onEvent(event: InotifyEvent): void {
    this.events.push(event);
  }
  onFailure(error: Error): void {
    throw error;
  }
}

const inotify = new Inotify();
const held: (() => void)[] = [];

function add(path: string, subscriber: InotifySubscriber): number {
  const watch = inotify.add(path, true, subscriber);
  held.push(() => inotify.delete(watch, subscriber));
  return watch;
}

afterEach(() => {
  for (const release of held.splice(0)) release();
  expect(inotify.isOpen).toBe(false);
});

test("a watch that is taken up again before it was given back is kept", async () => {
  using scratch = scratchDirectory();
  makeTree(scratch.path, "a/", "b/");
  const recorder = new Recorder();
  add(`${scratch.path}/a`, recorder);
  const first = add(`${scratch.path}/b`, recorder);

  inotify.delete(first, recorder);
  const second = add(`${scratch.path}/b`, recorder);
  await nextTurn();
  await nextTurn();
  makeTree(scratch.path, "b/file");
  inotify.drain();

  expect(second).toBe(first);
  expect(recorder.events).toMatchObject([{ watch: second, mask: IN.CREATE, name: "file" }]);
});

test("a watch that was given back tells nothing, not even what had happened before", async () => {
  using scratch = scratchDirectory();
  makeTree(scratch.path, "a/", "b/");
  const recorder = new Recorder();
  add(`${scratch.path}/a`, recorder);
  const watch = add(`${scratch.path}/b`, recorder);

  makeTree(scratch.path, "b/before");
  inotify.delete(watch, recorder);
  await nextTurn();
  makeTree(scratch.path, "b/after");
  inotify.drain();

  expect(recorder.events).toEqual([]);
  expect(inotify.watches).toBe(1);
});

test("all that is queued is seen after a drain, however much it is", () => {
  using scratch = scratchDirectory();
  const recorder = new Recorder();
  add(scratch.path, recorder);
  const names = Array.from({ length: 2_000 }, (_, index) => `${index}-${"n".repeat(200)}`);

  for (const name of names) writeFileSync(`${scratch.path}/${name}`, "");
  inotify.drain();

  expect(recorder.events.map(({ name }) => name)).toEqual(names);
});

test("what waits for the queue to be empty comes after all events, and once", () => {
  using scratch = scratchDirectory();
  const recorder = new Recorder();
  add(scratch.path, recorder);
  const seen: number[] = [];

  inotify.whenDrained(() => seen.push(recorder.events.length));
  makeTree(scratch.path, "1", "2", "3");
  inotify.drain();
  inotify.drain();

  expect(seen).toEqual([recorder.events.length]);
  expect(recorder.events.length).toBeGreaterThanOrEqual(3);
});

test("work without end gives way to others", async () => {
  let rounds = 0;
  let isEnough = false;
  const work = () => {
    rounds += 1;
    if (!isEnough) inotify.whenDrained(work);
  };

  inotify.whenDrained(work);
  inotify.drain();
  const before = rounds;
  await expect.poll(() => rounds).toBeGreaterThan(before);
  isEnough = true;

  expect(before).toBeGreaterThan(1);
});
