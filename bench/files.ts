import { mkdtempSync, rmSync, statfsSync } from "node:fs";
import { BigFile } from "./big-file.ts";
import { startScript } from "./child.ts";
import type { Question } from "./question.ts";
import { runRounds } from "./rounds.ts";
import { SmallFiles } from "./small-files.ts";
import type { Row } from "./table.ts";
import { targetOf } from "./wire.ts";

const MIB = 1024 * 1024;
const AT_ONCE = 16;
/** In memory, so that the disk is not what is measured. */
const MEMORY_FOLDER = "/dev/shm";

/** How fast do files go in and out? */
export const files: Question = async ({ agent, isQuick, rounds }) => {
  const bytes = (isQuick ? 256 : 1024) * MIB;
  const count = isQuick ? 200 : 1000;
  using work = workFolder(3 * bytes);
  await using server = await startScript("file-server.ts", [], /^ready (\d+)/);
  const bare = targetOf(`http://127.0.0.1:${server.answer}`);
  const big = new BigFile(work.path, bytes);
  const small = new SmallFiles(work.path, count);
  const { target } = agent;
  const runs = await runRounds(rounds, {
    download: () => big.download(target),
    bareDownload: () => big.download(bare),
    upload: () => big.upload(target),
    bareUpload: () => big.upload(bare),
    multipart: () => big.uploadMultipart(target),
    copy: () => big.copy(),
    smallDown: () => small.transfer(target, "download", 1),
    bareSmallDown: () => small.transfer(bare, "download", 1),
    smallDownAtOnce: () => small.transfer(target, "download", AT_ONCE),
    bareSmallDownAtOnce: () => small.transfer(bare, "download", AT_ONCE),
    smallUp: () => small.transfer(target, "upload", 1),
    bareSmallUp: () => small.transfer(bare, "upload", 1),
    smallUpAtOnce: () => small.transfer(target, "upload", AT_ONCE),
    bareSmallUpAtOnce: () => small.transfer(bare, "upload", AT_ONCE),
    smallCopy: () => small.copy(),
  });
  const { target: _, ...multipart } = row("upload, multipart", runs.multipart, runs.bareUpload);
  return {
    question: `files: ${bytes / MIB} MiB, and ${count} files of 4 KiB`,
    rows: [
      row("download", runs.download, runs.bareDownload),
      row("upload", runs.upload, runs.bareUpload),
      multipart,
      { figure: "cp, for scale", unit: "MiB/s", values: runs.copy },
      row("4 KiB, download, one at a time", runs.smallDown, runs.bareSmallDown),
      row(`4 KiB, download, ${AT_ONCE} at once`, runs.smallDownAtOnce, runs.bareSmallDownAtOnce),
      row("4 KiB, upload, one at a time", runs.smallUp, runs.bareSmallUp),
      row(`4 KiB, upload, ${AT_ONCE} at once`, runs.smallUpAtOnce, runs.bareSmallUpAtOnce),
      { figure: "cp -r, for scale", unit: "files/s", values: runs.smallCopy },
    ],
  };
};

function workFolder(neededBytes: number): Disposable & { path: string } {
  const { bavail, bsize } = statfsSync(MEMORY_FOLDER);
  if (bavail * bsize < neededBytes) {
    throw new Error(`${MEMORY_FOLDER} has not ${neededBytes / MIB} MiB free; try --quick`);
  }
  const path = mkdtempSync(`${MEMORY_FOLDER}/thaw-bench-`);
  return { path, [Symbol.dispose]: () => rmSync(path, { recursive: true, force: true }) };
}

function row(figure: string, values: number[], against: number[]): Row {
  return {
    figure,
    unit: figure.startsWith("4 KiB") ? "files/s" : "MiB/s",
    values,
    baseline: { name: "bare server", values: against },
    // The bare server checks nothing and can lose an upload: small files have no target beside it.
    ...(figure.startsWith("4 KiB") ? {} : { target: { of: "ratio" as const, atLeast: 0.9 } }),
  };
}
