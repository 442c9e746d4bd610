import { utimesSync, writeFileSync } from "node:fs";
import { expect, onTestFinished, test, vi } from "vitest";
import { FileReading } from "../../../src/filesystem/file-reading.ts";
import { nextTurn } from "../../../src/lib/turns.ts";
import { noAbort } from "../../helpers/filesystem.ts";
import { scratchDirectory } from "../../helpers/scratch.ts";

async function open(path: string): Promise<FileReading> {
  const request = { path, offset: 0, length: undefined, chunkBytes: 4_096, version: undefined };
  const reading = await FileReading.open(request, noAbort);
  if (!(reading instanceof FileReading)) throw new Error("not a file that can be read in parts");
  return reading;
}

test("a change right after another one, in the same step of the clock, is noticed", async () => {
  using scratch = scratchDirectory();
  const path = `${scratch.path}/file`;
  for (let round = 0; round < 20; round += 1) {
    writeFileSync(path, "old");
    await using reading = await open(path);
    const { version } = reading;
    writeFileSync(path, "new", { flag: "r+" });

    await reading.next();
    await using again = await open(path);

    await expect(reading.end()).rejects.toMatchObject({ code: "aborted" });
    expect(again.version).not.toBe(version);
  }
});

test("who reads a file that was written to just now waits for one step of the clock", async () => {
  vi.useFakeTimers({ toFake: ["setTimeout", "clearTimeout"] });
  onTestFinished(() => void vi.useRealTimers());
  using scratch = scratchDirectory();
  const path = `${scratch.path}/file`;
  writeFileSync(path, "old");
  utimesSync(path, 1, 1);
  await using _ = await open(path);

  utimesSync(path, Date.now() / 1_000, Date.now() / 1_000);
  const opening = open(path);
  while (vi.getTimerCount() === 0) await nextTurn();
  vi.advanceTimersByTime(20);

  await using reading = await opening;
  expect((await reading.next())?.toString()).toBe("old");
});

test("a file that becomes shorter while it is read fails as changed", async () => {
  using scratch = scratchDirectory();
  const path = `${scratch.path}/file`;
  writeFileSync(path, "x".repeat(10_000));
  await using reading = await open(path);
  writeFileSync(path, "x");

  await expect(reading.next().then(() => reading.next())).rejects.toMatchObject({
    code: "aborted",
  });
});
