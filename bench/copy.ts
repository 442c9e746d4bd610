import { execFileSync, spawn } from "node:child_process";
import { randomFillSync } from "node:crypto";
import { once } from "node:events";
import {
  closeSync,
  mkdirSync,
  mkdtempSync,
  openSync,
  rmSync,
  writeFileSync,
  writeSync,
} from "node:fs";
import { dirname, join } from "node:path";
import { BUILD } from "./agent.ts";
import type { Question } from "./question.ts";
import { runRounds, secondsOf } from "./rounds.ts";
import type { Row } from "./table.ts";
import { tarOverSocket } from "./tar-socket.ts";
import type { Target } from "./wire.ts";

const MIB = 1024 * 1024;
const SMALL_BYTES = 4096;
const FOLDER = "/dev/shm";

/** How fast does `thaw cp` copy a large file, and many small ones? */
export const copy: Question = async ({ agent, isQuick, rounds }) => {
  const bytes = isQuick ? 256 * MIB : 1_000_000_000;
  const count = isQuick ? 1_000 : 10_000;
  const folder = mkdtempSync(join(FOLDER, "thaw-copy-"));
  try {
    makeFile(join(folder, "file"), bytes);
    makeTree(join(folder, "tree"), count);
    const runs = await runRounds(rounds, contenders(folder, agent.target));
    const rates = (name: keyof typeof runs, amount: number) =>
      runs[name].map((seconds) => amount / seconds);
    const rows = (what: "file" | "tree", unit: string, amount: number): Row[] => {
      const tar = { name: "tar over a socket", values: rates(`${what}Tar`, amount) };
      return [
        { figure: `${what}, thaw cp in`, unit, values: rates(`${what}In`, amount), baseline: tar },
        {
          figure: `${what}, thaw cp out`,
          unit,
          values: rates(`${what}Out`, amount),
          baseline: tar,
        },
        { figure: `${what}, cp, for scale`, unit, values: rates(`${what}Cp`, amount) },
      ];
    };
    return {
      question: `copy: a file of ${Math.round(bytes / 1e6)} MB, and a tree of ${count} files of 4 KiB`,
      rows: [...rows("file", "MB/s", bytes / 1e6), ...rows("tree", "files/s", count)],
      notes: [
        "`thaw cp` starts a process, and lists both sides of a tree, within the time. It checks SHA-256.",
      ],
    };
  } finally {
    rmSync(folder, { recursive: true });
  }
};

function contenders(folder: string, target: Target) {
  const copies = join(folder, "copies");
  const at = `http://${target.host}:${target.port}`;
  const timed = (act: () => Promise<unknown>) => async () => {
    rmSync(copies, { recursive: true, force: true });
    mkdirSync(copies);
    const seconds = await secondsOf(act);
    return seconds;
  };
  const cp = (...args: string[]) => timed(() => thawCp(args, target.token));
  const tar = (name: string) => timed(() => tarOverSocket({ directory: folder, name }, copies));
  const plain = (name: string) =>
    timed(async () => execFileSync("cp", ["-a", join(folder, name), copies]));
  return {
    fileIn: cp(join(folder, "file"), `${at}:${copies}`),
    fileOut: cp(`${at}:${folder}/file`, copies),
    fileTar: tar("file"),
    fileCp: plain("file"),
    treeIn: cp(join(folder, "tree"), `${at}:${copies}`),
    treeOut: cp(`${at}:${folder}/tree`, copies),
    treeTar: tar("tree"),
    treeCp: plain("tree"),
  };
}

async function thawCp(args: readonly string[], token: string | undefined): Promise<void> {
  const env = { ...process.env, ...(token !== undefined && { THAW_TOKEN: token }) };
  const child = spawn(join(BUILD, "thaw"), ["cp", ...args], { env, stdio: "inherit" });
  const [code] = (await once(child, "close")) as [number | null];
  if (code !== 0) throw new Error(`thaw cp ended with ${code}`);
}

function makeFile(path: string, bytes: number): void {
  const block = randomFillSync(Buffer.alloc(MIB));
  const fd = openSync(path, "w");
  for (let at = 0; at < bytes; at += MIB) writeSync(fd, block, 0, Math.min(MIB, bytes - at));
  closeSync(fd);
}

function makeTree(directory: string, count: number): void {
  const content = randomFillSync(Buffer.alloc(SMALL_BYTES));
  for (let index = 0; index < count; index += 1) {
    const path = join(directory, `directory-${index % 100}`, `file-${index}`);
    mkdirSync(dirname(path), { recursive: true });
    writeFileSync(path, content);
  }
}
