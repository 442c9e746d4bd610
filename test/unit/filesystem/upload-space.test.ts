import { execFileSync } from "node:child_process";
import {
  existsSync,
  readdirSync,
  readFileSync,
  statfsSync,
  statSync,
  writeFileSync,
} from "node:fs";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { InodeLocks } from "../../../src/filesystem/inode-locks.ts";
import { readMetadata } from "../../../src/filesystem/metadata.ts";
import { openUpload } from "../../../src/filesystem/open-upload.ts";
import { Users } from "../../../src/system/users.ts";
import { openFilesIn, scratchDirectory, smallFilesystem } from "../../helpers/scratch.ts";

const daemon = new Users().find("daemon") ?? expect.fail("no account called daemon");
const never = new AbortController().signal;
const MIB = 1024 * 1024;

let scratch: ReturnType<typeof scratchDirectory>;
let locks: InodeLocks;

beforeEach(() => {
  scratch = scratchDirectory();
  locks = new InodeLocks();
});
afterEach(() => {
  const left = openFilesIn(scratch.path);
  scratch[Symbol.dispose]();
  expect(left).toEqual([]);
});

function open(path: string, announcedBytes?: number) {
  return openUpload({ path, user: daemon, announcedBytes, locks, signal: never });
}

/** Uploads `chunks` to `path`, completely. */
async function upload(
  path: string,
  chunks: (string | Buffer)[],
  metadata: Record<string, string> = {},
): Promise<boolean> {
  await using file = await open(path);
  for (const chunk of chunks) await file.push(Buffer.from(chunk));
  return await file.commit(metadata);
}

describe("a full disk", () => {
  test.for([100_000, 3 * MIB])("leaves no new file of %d bytes", async (bytes) => {
    using small = smallFilesystem(`size=${bytes > MIB ? "1m" : "64k"}`);
    const path = `${small.path}/f`;
    await using file = await open(path, bytes);

    const pushing = (async () => {
      for (let at = 0; at < bytes; at += 50_000) await file.push(Buffer.alloc(50_000));
      await file.commit({});
    })();

    await expect(pushing).rejects.toMatchObject({
      code: "exhausted",
      message: `attempted to write ${bytes} bytes: not enough disk space available`,
    });
    await file[Symbol.asyncDispose]();
    expect(readdirSync(small.path)).toEqual([]);
  });

  test.for([200_000, 3 * MIB])("leaves an old file whole: %d bytes", async (bytes) => {
    using small = smallFilesystem(`size=${bytes > MIB ? "1m" : "128k"}`);
    const path = `${small.path}/f`;
    const old = Buffer.alloc(60_000, "o");
    writeFileSync(path, old);
    const free = statfsSync(small.path).bfree;
    {
      await using file = await open(path);
      const pushing = (async () => {
        for (let at = 0; at < bytes; at += 50_000) await file.push(Buffer.alloc(50_000));
        await file.commit({ k: "v" });
      })();
      await expect(pushing).rejects.toMatchObject({
        code: "exhausted",
        message: "not enough disk space available",
      });
    }

    expect(readFileSync(path).equals(old)).toBe(true);
    expect(readMetadata(path)).toEqual({});
    expect(statSync(path).uid).toBe(0);
    expect(statfsSync(small.path).bfree).toBe(free);
    expect(openFilesIn(small.path)).toEqual([]);
  });

  test("is no obstacle for what fits into the old file", async () => {
    using small = smallFilesystem("size=64k");
    const path = `${small.path}/f`;
    writeFileSync(path, Buffer.alloc(60_000, "o"));

    await upload(path, [Buffer.alloc(60_000, "n")]);

    expect(readFileSync(path, "utf8")).toBe("n".repeat(60_000));
  });

  test("of inodes is told as such", async () => {
    using small = smallFilesystem("size=1m,nr_inodes=3");
    writeFileSync(`${small.path}/a`, "");
    writeFileSync(`${small.path}/b`, "");
    const expected = {
      code: "exhausted",
      message: expect.stringMatching(/^not enough inodes available: /),
    };

    await expect(open(`${small.path}/c`)).rejects.toMatchObject(expected);
    await expect(open(`${small.path}/d/c`)).rejects.toMatchObject(expected);
    expect(existsSync(`${small.path}/d`)).toBe(false);
  });

  test("for metadata leaves no new file, and an old one whole", async () => {
    const tooMuch = { k: "v".repeat(60_000) };
    const path = `${scratch.path}/f`;
    const expected = {
      code: "exhausted",
      message: expect.stringMatching(/^not enough space for file metadata: /),
    };

    await expect(upload(path, ["x"], tooMuch)).rejects.toMatchObject(expected);
    expect(readdirSync(scratch.path)).toEqual([]);

    writeFileSync(path, "old");
    await expect(upload(path, ["longer than it was"], tooMuch)).rejects.toMatchObject(expected);
    expect(readFileSync(path, "utf8")).toBe("old");
    expect(statSync(path).uid).toBe(0);
  });
});

test("a filesystem without attributes takes the file and says that the metadata is lost", async () => {
  execFileSync("mount", ["-t", "ramfs", "thaw-test", scratch.path]);
  try {
    expect(await upload(`${scratch.path}/f`, ["x"], { k: "v" })).toBe(false);
    expect(await upload(`${scratch.path}/f`, [Buffer.alloc(2 * MIB)], { k: "v" })).toBe(false);
    expect(statSync(`${scratch.path}/f`).size).toBe(2 * MIB);
  } finally {
    execFileSync("umount", [scratch.path]);
  }
});
