import { readFileSync, statSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { beforeEach, expect, test } from "vitest";
import { Generation } from "../../../src/snapshot/generation.ts";
import { watchDirectory } from "../../helpers/inotify.ts";
import { keepLog, type LogLines } from "../../helpers/log-lines.ts";
import { scratchDirectory } from "../../helpers/scratch.ts";

let kept: LogLines;

beforeEach(() => {
  kept = keepLog();
});

const read = (path: string) => JSON.parse(readFileSync(path, "utf8"));

test("the first generation is written at the start", async () => {
  using scratch = scratchDirectory();
  const directory = join(scratch.path, "run", "thaw");
  const generation = new Generation({ directory, log: kept.log });
  expect(generation.file).toBe("");

  generation.start();
  await generation.close();

  expect(generation.number).toBe(1);
  expect(generation.id).toMatch(/^[A-Za-z0-9]{22}$/);
  expect(generation.file).toBe(join(directory, "generation"));
  expect(readFileSync(generation.file, "utf8")).toBe(
    `{"generation":1,"id":"${generation.id}","restored_at":null}\n`,
  );
  expect(statSync(directory).mode & 0o777).toBe(0o755);
  expect(statSync(generation.file).mode & 0o777).toBe(0o644);
});

test("each restore has a number, an id and a time of its own", async () => {
  using scratch = scratchDirectory();
  const generation = new Generation({ directory: scratch.path, log: kept.log });
  generation.start();
  const ids = new Set([generation.id]);
  const before = Date.now();

  for (let number = 2; number <= 10; number += 1) {
    generation.advance();
    expect(generation.number).toBe(number);
    ids.add(generation.id);
  }
  await generation.close();

  expect(ids.size).toBe(10);
  const { generation: number, id, restored_at } = read(generation.file);
  expect([number, id]).toEqual([10, generation.id]);
  expect(Date.parse(restored_at)).toBeGreaterThanOrEqual(before);
});

test("an id that is drawn again belongs to the same restore", async () => {
  using scratch = scratchDirectory();
  const generation = new Generation({ directory: scratch.path, log: kept.log });
  generation.advance();
  await generation.close();
  const before = read(generation.file);

  generation.renew();
  await generation.close();

  expect(generation.id).not.toBe(before.id);
  expect(read(generation.file)).toEqual({ ...before, id: generation.id });
});

test("programs that watch the directory are told, and never see half of it", async () => {
  using scratch = scratchDirectory();
  const generation = new Generation({ directory: scratch.path, log: kept.log });
  generation.start();
  await generation.close();
  using watch = watchDirectory(scratch.path);

  generation.advance();
  await generation.close();

  const onFile = watch.events().filter((event) => event.endsWith(" generation"));
  expect(onFile).toEqual(["MOVED_TO generation"]);
});

test("where it cannot be written it says so once, and counts all the same", async () => {
  using scratch = scratchDirectory();
  const directory = join(scratch.path, "file");
  writeFileSync(directory, "");
  const generation = new Generation({ directory, log: kept.log });

  generation.start();
  generation.advance();
  generation.advance();
  await generation.close();

  expect(generation.number).toBe(3);
  expect(generation.file).toBe("");
  expect(kept.lines.map(({ level }) => level)).toEqual([40]);
});
