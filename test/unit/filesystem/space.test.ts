import { closeSync, fstatSync, openSync, statfsSync } from "node:fs";
import { expect, test } from "vitest";
import { reserveSpace } from "../../../src/filesystem/space.ts";
import { nextTurn } from "../../../src/lib/turns.ts";
import { smallFilesystem } from "../../helpers/scratch.ts";

const MIB = 1024 * 1024;

test("a disk that is far too small is not filled to find that out", async () => {
  using disk = smallFilesystem("size=512m");
  const fd = openSync(`${disk.path}/file`, "w");
  const freeBytes = () => statfsSync(disk.path).bfree * statfsSync(disk.path).bsize;
  const over = new AbortController();
  let leastBytes = freeBytes();

  const reserving = reserveSpace(fd, 2 ** 50, 0).finally(() => over.abort());
  reserving.catch(() => {});
  while (!over.signal.aborted) {
    await nextTurn();
    leastBytes = Math.min(leastBytes, freeBytes());
  }

  await expect(reserving).rejects.toMatchObject({ code: "ENOSPC" });
  expect(leastBytes).toBeGreaterThan(400 * MIB);
  expect(fstatSync(fd)).toMatchObject({ size: 0, blocks: 0 });
  closeSync(fd);
});

test("what fits is reserved, and nothing shows of it", async () => {
  using disk = smallFilesystem("size=256m");
  const fd = openSync(`${disk.path}/file`, "w");

  await reserveSpace(fd, 200 * MIB, 0);
  // Again, when there is no room for as much once more.
  await reserveSpace(fd, 200 * MIB, 0);

  expect(fstatSync(fd)).toMatchObject({ size: 0, blocks: (200 * MIB) / 512 });
  closeSync(fd);
});
