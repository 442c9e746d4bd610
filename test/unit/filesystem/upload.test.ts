import { execFileSync } from "node:child_process";
import {
  chmodSync,
  chownSync,
  linkSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  renameSync,
  statSync,
  symlinkSync,
  unlinkSync,
  writeFileSync,
} from "node:fs";
import { createServer } from "node:net";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { InodeLocks } from "../../../src/filesystem/inode-locks.ts";
import { readMetadata } from "../../../src/filesystem/metadata.ts";
import { openUpload } from "../../../src/filesystem/open-upload.ts";
import { Users } from "../../../src/system/users.ts";
import { watchDirectory } from "../../helpers/inotify.ts";
import { openFilesIn, scratchDirectory } from "../../helpers/scratch.ts";

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

/** Uploads `chunks` to `path`, but not to their end. */
async function breakOff(path: string, chunks: (string | Buffer)[]): Promise<void> {
  await using file = await open(path);
  for (const chunk of chunks) await file.push(Buffer.from(chunk));
}

const bodies: [string, Buffer[]][] = [
  ["small", [Buffer.from("new")]],
  ["large", Array.from({ length: 40 }, (_, index) => Buffer.alloc(100_000, index))],
];

describe.for(bodies)("a %s body to a new path", ([, body]) => {
  test("makes a file of the user's with the usual mode", async () => {
    const path = `${scratch.path}/a/b/f`;

    await upload(path, body, { k: "v" });

    expect(readFileSync(path).equals(Buffer.concat(body))).toBe(true);
    expect(statSync(path)).toMatchObject({ uid: daemon.uid, gid: daemon.gid, mode: 0o100644 });
    expect(readMetadata(path)).toEqual({ k: "v" });
    expect(statSync(`${scratch.path}/a`).uid).toBe(daemon.uid);
  });

  test("that breaks off leaves nothing but the parents", async () => {
    await breakOff(`${scratch.path}/a/f`, body);

    expect(readdirSync(`${scratch.path}/a`)).toEqual([]);
  });
});

describe.for(bodies)("a %s body to an existing file", ([, body]) => {
  test("replaces the content in place", async () => {
    const path = `${scratch.path}/f`;
    writeFileSync(path, Buffer.alloc(5 * MIB, "o"));
    chmodSync(path, 0o751);
    linkSync(path, `${scratch.path}/other`);
    await upload(path, ["x"], { old: "1" });
    writeFileSync(path, Buffer.alloc(5 * MIB, "o"));

    await upload(path, body, { k: "v" });

    expect(readFileSync(`${scratch.path}/other`).equals(Buffer.concat(body))).toBe(true);
    expect(statSync(path)).toMatchObject({ uid: daemon.uid, mode: 0o100751, nlink: 2 });
    expect(readMetadata(path)).toEqual({ k: "v" });
    expect(readdirSync(scratch.path).sort()).toEqual(["f", "other"]);
  });

  test("that breaks off leaves it as it was", async () => {
    const path = `${scratch.path}/f`;
    writeFileSync(path, "old");
    chownSync(path, 0, 0);
    using watch = watchDirectory(scratch.path);

    await breakOff(path, body);

    expect(readFileSync(path, "utf8")).toBe("old");
    expect(statSync(path).uid).toBe(0);
    expect(watch.events()).toEqual([]);
  });

  test("shows to those who watch as changes of that file alone", async () => {
    const path = `${scratch.path}/f`;
    writeFileSync(path, "old");
    using watch = watchDirectory(scratch.path);

    await upload(path, body);

    const events = watch.events();
    expect(new Set(events)).toEqual(new Set(["CHMOD f", "WRITE f"]));
  });

  test("does not keep it from being executed meanwhile", async () => {
    const path = `${scratch.path}/f`;
    writeFileSync(path, readFileSync("/bin/true"), { mode: 0o755 });
    await using file = await open(path);

    for (const chunk of body) await file.push(chunk);

    expect(() => execFileSync(path)).not.toThrow();
  });
});

describe("those who watch see", () => {
  test("a new file made, given to its owner and written, each once", async () => {
    using watch = watchDirectory(scratch.path);

    await upload(
      `${scratch.path}/f`,
      Array.from({ length: 1000 }, () => "some bytes"),
    );

    expect(watch.events()).toEqual(["CREATE f", "CHMOD f", "WRITE f"]);
  });

  test("no write of an empty file", async () => {
    using watch = watchDirectory(scratch.path);

    await upload(`${scratch.path}/f`, []);

    expect(watch.events()).toEqual(["CREATE f", "CHMOD f"]);
    expect(statSync(`${scratch.path}/f`).size).toBe(0);
  });

  test("one more change for metadata", async () => {
    using watch = watchDirectory(scratch.path);

    await upload(`${scratch.path}/f`, ["x"], { k: "v" });

    expect(watch.events()).toEqual(["CREATE f", "CHMOD f", "WRITE f", "CHMOD f"]);
  });
});

describe("a target that is no regular file", () => {
  test.for([
    ["directory", "directory"],
    ["fifo", "named pipe"],
    ["device", "character device"],
    ["socket", "socket"],
  ] as const)("is refused before the body: %s", async ([name, kind]) => {
    const path = `${scratch.path}/${name}`;
    mkdirSync(`${scratch.path}/directory`);
    execFileSync("mkfifo", [`${scratch.path}/fifo`]);
    execFileSync("mknod", [`${scratch.path}/device`, "c", "1", "3"]);
    const server = createServer().listen(`${scratch.path}/socket`);

    await expect(open(path)).rejects.toMatchObject({
      code: "invalid",
      message: `path is a ${kind}: ${path}`,
    });
    server.close();
  });

  test("is refused behind a link", async () => {
    symlinkSync("/dev/null", `${scratch.path}/link`);

    await expect(open(`${scratch.path}/link`)).rejects.toMatchObject({
      message: `path is a character device: ${scratch.path}/link`,
    });
  });

  test("a path with a trailing slash is a directory", async () => {
    await expect(open(`${scratch.path}/new/`)).rejects.toMatchObject({
      message: `path is a directory: ${scratch.path}/new/`,
    });
  });

  test("a file in the way of the parents is a failure", async () => {
    writeFileSync(`${scratch.path}/file`, "");

    await expect(open(`${scratch.path}/file/f`)).rejects.toMatchObject({
      code: "internal",
      message: `error ensuring directories: path is a file: ${scratch.path}/file`,
    });
  });
});

describe("links", () => {
  test("are followed to the file they lead to", async () => {
    writeFileSync(`${scratch.path}/real`, "old");
    symlinkSync("real", `${scratch.path}/link`);

    await upload(`${scratch.path}/link`, ["new"]);

    expect(readFileSync(`${scratch.path}/real`, "utf8")).toBe("new");
    expect(readdirSync(scratch.path).sort()).toEqual(["link", "real"]);
  });

  test("that lead nowhere yet get their file made", async () => {
    mkdirSync(`${scratch.path}/d`);
    symlinkSync("d/real", `${scratch.path}/link`);
    symlinkSync(`${scratch.path}/link`, `${scratch.path}/link2`);

    await upload(`${scratch.path}/link2`, ["new"]);

    expect(readFileSync(`${scratch.path}/d/real`, "utf8")).toBe("new");
  });

  test("that lead nowhere yet stay so when the body breaks off", async () => {
    symlinkSync("real", `${scratch.path}/link`);

    await breakOff(`${scratch.path}/link`, ["new"]);

    expect(readdirSync(scratch.path)).toEqual(["link"]);
  });

  test("in circles are a failure", async () => {
    symlinkSync("loop", `${scratch.path}/loop`);

    await expect(open(`${scratch.path}/loop`)).rejects.toMatchObject({ code: "internal" });
  });
});

describe("two uploads to one path", () => {
  test.for([
    [0, 0],
    [0, 1],
    [1, 0],
    [1, 1],
  ] as const)("leave one of the bodies whole: %j", async (kinds) => {
    const path = `${scratch.path}/f`;
    const wholes = kinds.map((kind, index) => Buffer.alloc(kind === 0 ? 10 : 3 * MIB, index + 1));

    await Promise.all(
      wholes.map((whole) => upload(path, [whole.subarray(0, 5), whole.subarray(5)])),
    );

    const content = readFileSync(path);
    expect(wholes.some((whole) => whole.equals(content))).toBe(true);
  });

  test("do not lose the second when the first breaks off", async () => {
    const path = `${scratch.path}/f`;
    const first = await open(path);
    await first.push(Buffer.from("first"));
    const second = await open(path);
    await second.push(Buffer.from("second"));
    const committed = second.commit({});

    await first[Symbol.asyncDispose]();
    await committed;

    expect(readFileSync(path, "utf8")).toBe("second");
  });

  test("wait for each other no longer than their client does", async () => {
    const path = `${scratch.path}/f`;
    const gone = new AbortController();
    await using first = await open(path);
    await using second = await openUpload({
      path,
      user: daemon,
      announcedBytes: undefined,
      locks,
      signal: gone.signal,
    });
    const committed = second.commit({});

    gone.abort(new Error("gone"));

    await expect(committed).rejects.toThrow("gone");
    await first.commit({});
  });
});

describe("a file that is taken away while its body arrives", () => {
  test("is made again when it was there before", async () => {
    const path = `${scratch.path}/f`;
    writeFileSync(path, "old");
    await using file = await open(path);
    await file.push(Buffer.from("new"));
    unlinkSync(path);

    await file.commit({});

    expect(readFileSync(path, "utf8")).toBe("new");
    expect(statSync(path).uid).toBe(daemon.uid);
  });

  test("is not looked for under its new name", async () => {
    const path = `${scratch.path}/f`;
    writeFileSync(path, "old");
    await using file = await open(path);
    await file.push(Buffer.from("new"));
    renameSync(path, `${scratch.path}/g`);

    await file.commit({});

    expect(readFileSync(path, "utf8")).toBe("new");
    expect(readFileSync(`${scratch.path}/g`, "utf8")).toBe("old");
  });

  test("disappears, broken off, from where its directory was moved to", async () => {
    mkdirSync(`${scratch.path}/d`);
    {
      await using file = await open(`${scratch.path}/d/f`);
      await file.push(Buffer.from("half"));
      renameSync(`${scratch.path}/d`, `${scratch.path}/e`);
    }

    expect(readdirSync(`${scratch.path}/e`)).toEqual([]);
  });

  test("is not removed when something else has taken its name", async () => {
    const path = `${scratch.path}/f`;
    {
      await using _file = await open(path);
      unlinkSync(path);
      writeFileSync(path, "somebody else's");
    }

    expect(readFileSync(path, "utf8")).toBe("somebody else's");
  });
});
