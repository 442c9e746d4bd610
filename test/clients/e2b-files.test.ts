import { createHash, randomBytes } from "node:crypto";
import { lstatSync, mkdirSync, readFileSync, statSync, symlinkSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import {
  AuthenticationError,
  FileNotFoundError,
  FileType,
  InvalidArgumentError,
  NotFoundError,
  SandboxError,
} from "e2b";
import { describe, expect } from "vitest";
import { test as base } from "../helpers/sandbox.ts";

/** Names a path in the agent's directory. */
type PathOf = (name: string) => string;

const test = base.extend<{ at: PathOf }>({
  at: async ({ agent }, use) => {
    await use((name) => join(agent.directory, name));
  },
});

const TEXT = "Grüße, 世界! 🚀\r\n\0end";

function sha256(...parts: Uint8Array[]): string {
  const hash = createHash("sha256");
  for (const part of parts) hash.update(part);
  return hash.digest("hex");
}

/** A stream that makes `content` in pieces of `size`. */
function streamOf(content: Uint8Array, size = 65_536): ReadableStream<Uint8Array> {
  let at = 0;
  return new ReadableStream({
    pull: (controller) => {
      if (at >= content.length) controller.close();
      else controller.enqueue(content.subarray(at, (at += size)));
    },
  });
}

async function hashOf(stream: ReadableStream<Uint8Array>): Promise<string> {
  const hash = createHash("sha256");
  for await (const chunk of stream) hash.update(chunk);
  return hash.digest("hex");
}

describe("a file of the e2b package", () => {
  test("is read in each form as it was written in each", async ({ sandbox, at }) => {
    const bytes = new TextEncoder().encode(TEXT);
    const forms = {
      text: TEXT,
      bytes: bytes.buffer,
      blob: new Blob([bytes]),
      stream: streamOf(bytes, 3),
    };

    for (const [form, data] of Object.entries(forms)) await sandbox.files.write(at(form), data);

    for (const form of Object.keys(forms)) {
      expect(await sandbox.files.read(at(form))).toBe(TEXT);
      expect(await sandbox.files.read(at(form), { format: "bytes" })).toEqual(bytes);
      const blob = await sandbox.files.read(at(form), { format: "blob" });
      expect(await blob.text()).toBe(TEXT);
      const stream = await sandbox.files.read(at(form), { format: "stream" });
      expect(await hashOf(stream)).toBe(sha256(bytes));
    }
  });

  test.for([
    ["as a form", {}],
    ["as bare bytes", { useOctetStream: true }],
    ["compressed", { gzip: true }],
  ] as const)("that is written %s tells its place", async ([, options], { sandbox, at }) => {
    const written = await sandbox.files.write(at("new/deep/file.txt"), TEXT, options);

    expect(written).toEqual({ name: "file.txt", path: at("new/deep/file.txt"), type: "file" });
    expect(readFileSync(at("new/deep/file.txt"), "utf8")).toBe(TEXT);
    expect(await sandbox.files.read(at("new/deep/file.txt"), { gzip: true })).toBe(TEXT);
  });

  test.for([
    ["as a form", {}],
    ["as bare bytes", { useOctetStream: true }],
    ["compressed", { gzip: true }],
  ] as const)("is one of many that are written %s", async ([, options], { sandbox, at }) => {
    const files = Array.from({ length: 20 }, (_, index) => ({
      path: at(`many/${index % 3}/file ${index}`),
      data: `content ${index}`,
    }));

    const written = await sandbox.files.writeFiles(files, options);

    expect(written.map(({ path }) => path)).toEqual(files.map(({ path }) => path));
    expect(files.map(({ path }) => readFileSync(path, "utf8"))).toEqual(
      files.map(({ data }) => data),
    );
  });

  test("may be empty in every form", async ({ sandbox, at }) => {
    await sandbox.files.write(at("empty"), "");
    await sandbox.files.write(at("octets"), "", { useOctetStream: true });
    await sandbox.files.write(at("zipped"), "", { gzip: true });

    for (const name of ["empty", "octets", "zipped"]) {
      expect(statSync(at(name)).size).toBe(0);
      expect(await sandbox.files.read(at(name))).toBe("");
      expect(await sandbox.files.read(at(name), { format: "bytes" })).toEqual(new Uint8Array());
      expect((await sandbox.files.read(at(name), { format: "blob" })).size).toBe(0);
      expect(await hashOf(await sandbox.files.read(at(name), { format: "stream" }))).toBe(sha256());
    }
  });

  test("is replaced by a shorter one, and keeps its mode", async ({ sandbox, at }) => {
    writeFileSync(at("file"), "a long old content", { mode: 0o640 });

    await sandbox.files.write(at("file"), "new");

    expect(readFileSync(at("file"), "utf8")).toBe("new");
    expect(statSync(at("file")).mode & 0o777).toBe(0o640);
  });

  test("belongs to the user who wrote it, in the home that is meant", async ({ sandbox, user }) => {
    const written = await sandbox.files.write("thaw-test/relative.txt", "mine", {
      user: user.name,
    });

    const read = await sandbox.files.read("~/thaw-test/relative.txt", { user: user.name });
    const info = await sandbox.files.getInfo("thaw-test", { user: user.name });
    await sandbox.files.remove("thaw-test", { user: user.name });

    expect(written.path).toBe(join(user.home, "thaw-test/relative.txt"));
    expect(read).toBe("mine");
    expect(info).toMatchObject({ type: FileType.DIR, owner: user.name, group: user.name });
  });

  test("carries its metadata until it is written again", async ({ sandbox, at }) => {
    const metadata = { author: "me", "Content-Hash": "sha256: 0123" };

    const written = await sandbox.files.write(at("file"), "one", { metadata });
    const stated = await sandbox.files.getInfo(at("file"));
    const [listed] = (await sandbox.files.list(at(""))).filter(({ name }) => name === "file");
    const again = await sandbox.files.write(at("file"), "two");

    const expected = { author: "me", "content-hash": "sha256: 0123" };
    expect(written.metadata).toEqual(expected);
    expect(stated.metadata).toEqual(expected);
    expect(listed?.metadata).toEqual(expected);
    expect(again.metadata).toBeUndefined();
    expect((await sandbox.files.getInfo(at("file"))).metadata).toBeUndefined();
  });

  test("carries its metadata however it is sent", async ({ sandbox, at }) => {
    const metadata = { kind: "test" };

    const octets = await sandbox.files.write(at("octets"), "one", {
      useOctetStream: true,
      metadata,
    });
    const many = await sandbox.files.write(
      [
        { path: at("first"), data: "1" },
        { path: at("second"), data: "2" },
      ],
      { metadata },
    );

    expect([octets, ...many].map((entry) => entry.metadata)).toEqual([
      metadata,
      metadata,
      metadata,
    ]);
  });
});

describe("a hundred megabytes", () => {
  const content = randomBytes(100_000_000);
  const expected = sha256(content);

  test("go there and back as bytes", async ({ sandbox, at }) => {
    await sandbox.files.write(at("large"), new Blob([content]));
    const read = await sandbox.files.read(at("large"), { format: "bytes" });

    expect(statSync(at("large")).size).toBe(content.length);
    expect(sha256(read)).toBe(expected);
  });

  test("go there and back as a stream", async ({ sandbox, at }) => {
    await sandbox.files.write(at("large"), streamOf(content, 1_000_000));
    const read = await sandbox.files.read(at("large"), { format: "stream" });

    expect(await hashOf(read)).toBe(expected);
  });
});

describe("a path of the e2b package", () => {
  test("is listed to the depth that is asked for", async ({ sandbox, at }) => {
    mkdirSync(at("tree/a/b/c"), { recursive: true });
    writeFileSync(at("tree/a/file"), "12345");
    writeFileSync(at("tree/top"), "1");

    const flat = await sandbox.files.list(at("tree"));
    const two = await sandbox.files.list(at("tree"), { depth: 2 });
    const all = await sandbox.files.list(at("tree"), { depth: 9 });

    const shape = (entries: { path: string; type?: FileType }[]) =>
      entries.map(({ path, type }) => [path.replace(at("tree/"), ""), type]);
    expect(shape(flat)).toEqual([
      ["a", "dir"],
      ["top", "file"],
    ]);
    expect(shape(two)).toEqual([
      ["a", "dir"],
      ["a/b", "dir"],
      ["a/file", "file"],
      ["top", "file"],
    ]);
    expect(shape(all).map(([path]) => path)).toEqual(["a", "a/b", "a/b/c", "a/file", "top"]);
    expect(two.find(({ name }) => name === "file")?.size).toBe(5);
  });

  test("tells everything about a file", async ({ sandbox, at }) => {
    writeFileSync(at("file"), "12345", { mode: 0o751 });

    const info = await sandbox.files.getInfo(at("file"));

    expect(info).toEqual({
      name: "file",
      path: at("file"),
      type: FileType.FILE,
      size: 5,
      mode: 0o751,
      permissions: "-rwxr-x--x",
      owner: "root",
      group: "root",
      modifiedTime: new Date(Math.floor(lstatSync(at("file")).mtimeMs)),
      symlinkTarget: undefined,
      metadata: undefined,
    });
  });

  test("that is a link shows what it leads to", async ({ sandbox, at }) => {
    mkdirSync(at("target"));
    symlinkSync(at("target"), at("link"));

    const info = await sandbox.files.getInfo(at("link"));

    expect(info).toMatchObject({ type: FileType.DIR, symlinkTarget: at("target") });
    expect(info.permissions).toBe("Lrwxrwxrwx");
  });

  test("exists or not", async ({ sandbox, at }) => {
    writeFileSync(at("there"), "");

    await expect(sandbox.files.exists(at("there"))).resolves.toBe(true);
    await expect(sandbox.files.exists(at("not-there"))).resolves.toBe(false);
  });

  test("is made once, with its parents", async ({ sandbox, at }) => {
    await expect(sandbox.files.makeDir(at("one/two/three"))).resolves.toBe(true);
    await expect(sandbox.files.makeDir(at("one/two/three"))).resolves.toBe(false);
    expect(statSync(at("one/two/three")).isDirectory()).toBe(true);
  });

  test("is moved with its new parents, over what is there", async ({ sandbox, at }) => {
    writeFileSync(at("from"), "new");
    mkdirSync(at("to"));
    writeFileSync(at("to/file"), "old");

    const moved = await sandbox.files.rename(at("from"), at("to/file"));
    const again = await sandbox.files.rename(at("to"), at("deep/er/directory"));

    expect(moved).toMatchObject({ path: at("to/file"), name: "file", type: "file", size: 3 });
    expect(again).toMatchObject({ path: at("deep/er/directory"), type: "dir" });
    expect(await sandbox.files.read(at("deep/er/directory/file"))).toBe("new");
  });

  test("is removed with all that is in it, and twice", async ({ sandbox, at }) => {
    mkdirSync(at("tree/a/b"), { recursive: true });
    writeFileSync(at("tree/a/file"), "");

    await sandbox.files.remove(at("tree"));
    await sandbox.files.remove(at("tree"));

    await expect(sandbox.files.exists(at("tree"))).resolves.toBe(false);
  });
});

describe("an error of the e2b package", () => {
  test("for what is not there is not-found", async ({ sandbox, at }) => {
    const { files } = sandbox;

    await expect(files.read(at("no"))).rejects.toThrow(FileNotFoundError);
    await expect(files.read(at("no"), { format: "stream" })).rejects.toThrow(FileNotFoundError);
    await expect(files.list(at("no"))).rejects.toThrow(FileNotFoundError);
    await expect(files.getInfo(at("no"))).rejects.toThrow(FileNotFoundError);
    await expect(files.rename(at("no"), at("other"))).rejects.toThrow(FileNotFoundError);
    await expect(files.watchDir(at("no"), () => {})).rejects.toThrow(NotFoundError);
  });

  test("for the wrong kind of thing is an invalid argument", async ({ sandbox, at }) => {
    const { files } = sandbox;
    writeFileSync(at("file"), "");
    mkdirSync(at("directory"));

    await expect(files.read(at("directory"))).rejects.toThrow(InvalidArgumentError);
    await expect(files.write(at("directory"), "")).rejects.toThrow(InvalidArgumentError);
    await expect(files.list(at("file"))).rejects.toThrow(InvalidArgumentError);
    await expect(files.makeDir(at("file"))).rejects.toThrow(InvalidArgumentError);
    await expect(files.watchDir(at("file"), () => {})).rejects.toThrow(InvalidArgumentError);
    await expect(files.read("~somebody/file")).rejects.toThrow(InvalidArgumentError);
    await expect(files.read("/dev/zero")).rejects.toThrow(InvalidArgumentError);
  });

  test("for an unknown user is of authentication", async ({ sandbox, at }) => {
    const user = "nobody-like-this";

    await expect(sandbox.files.read(at("file"), { user })).rejects.toThrow(AuthenticationError);
    await expect(sandbox.files.write(at("file"), "", { user })).rejects.toThrow(
      AuthenticationError,
    );
    await expect(sandbox.files.list(at(""), { user })).rejects.toThrow(AuthenticationError);
  });

  test("for anything else is a plain one with the words of the agent", async ({ sandbox, at }) => {
    mkdirSync(at("full/inside"), { recursive: true });
    mkdirSync(at("other"));
    writeFileSync(at("file"), "");

    await expect(sandbox.files.rename(at("other"), at("full"))).rejects.toThrow(SandboxError);
    await expect(sandbox.files.rename(at("other"), at("full"))).rejects.toThrow("error renaming");
    await expect(sandbox.files.write(at("file/below"), "")).rejects.toThrow(
      `path is a file: ${at("file")}`,
    );
  });

  test("for the same path twice in one form is an invalid argument", async ({ sandbox, at }) => {
    const write = sandbox.files.write([
      { path: at("same"), data: "1" },
      { path: at("same"), data: "2" },
    ]);

    await expect(write).rejects.toThrow(InvalidArgumentError);
    await expect(write).rejects.toThrow("cannot upload multiple files to the same path");
  });
});
