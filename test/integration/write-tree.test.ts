import { randomBytes } from "node:crypto";
import {
  existsSync,
  lstatSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { connect as connectHttp2 } from "node:http2";
import { create, type MessageInitShape, toBinary } from "@bufbuild/protobuf";
import { Code } from "@connectrpc/connect";
import { describe, expect, vi } from "vitest";
import { WriteTreeRequestSchema } from "../../gen/filesystem/filesystem_pb.js";
import { END_OF_TAR, encodeEntryHead, type TarEntryHead } from "../../src/lib/tar-writer.ts";
import { test } from "../helpers/agent.ts";
import { failureOf, makeTree } from "../helpers/filesystem.ts";
import { frame } from "../helpers/raw-rpc.ts";
import { openFilesIn, smallFilesystem } from "../helpers/scratch.ts";
import { gnuTar, writeTreeMessages } from "../helpers/trees.ts";

const MIB = 1024 * 1024;

/** A tar stream made by hand, of entries that no program would write. */
function handmade(...entries: (Partial<TarEntryHead> & { content?: Buffer })[]): Buffer {
  const parts = entries.flatMap(({ content = Buffer.alloc(0), ...head }) => [
    encodeEntryHead({
      path: "file",
      type: "file",
      mode: 0o644,
      uid: 0,
      gid: 0,
      modifiedNs: 0n,
      bytes: content.length,
      ...head,
    }),
    content,
    Buffer.alloc((512 - (content.length % 512)) % 512),
  ]);
  return Buffer.concat([...parts, END_OF_TAR]);
}

describe("WriteTree", () => {
  const content = Buffer.from("evil");
  test.for([
    ["an absolute path", [{ path: "/tmp/thaw-escaped", content }]],
    ["a path that goes up", [{ path: "../escaped", content }]],
    ["a path that goes up later", [{ path: "a/../../escaped", content }]],
    [
      "a path through a link of the stream",
      [
        { path: "out", type: "symlink", linkPath: ".." },
        { path: "out/escaped", content },
      ],
    ],
    [
      "a directory below a link of the stream",
      [
        { path: "out", type: "symlink", linkPath: ".." },
        { path: "out/escaped", type: "directory" },
      ],
    ],
    [
      "a link below a link of the stream",
      [
        { path: "out", type: "symlink", linkPath: ".." },
        { path: "out/escaped", type: "symlink", linkPath: "x" },
      ],
    ],
    ["a path through a link that was there", [{ path: "there/escaped", content }]],
    ["a directory that is a link that was there", [{ path: "there", type: "directory" }]],
    ["a hard link to what is outside", [{ path: "x", type: "hardLink", linkPath: "../secret" }]],
    ["a hard link to an absolute path", [{ path: "x", type: "hardLink", linkPath: "/etc/passwd" }]],
    ["a hard link through a link", [{ path: "x", type: "hardLink", linkPath: "there/secret" }]],
    ["the directory itself as a file", [{ path: ".", content }]],
    ["a path of very many directories", [{ path: `${"a/".repeat(257)}escaped`, content }]],
  ] as const)("refuses %s, and nothing leaves the directory", async ([, entries], { agent }) => {
    const outside = `${agent.directory}/outside`;
    mkdirSync(`${outside}/to`, { recursive: true });
    writeFileSync(`${outside}/secret`, "secret");
    symlinkSync("..", `${outside}/to/there`);
    const before = statSync(outside);

    const writing = agent
      .filesystem()
      .writeTree(writeTreeMessages({ path: `${outside}/to` }, handmade(...entries)));

    expect((await failureOf(writing)).code).toBe(Code.InvalidArgument);
    expect(readdirSync(outside).toSorted()).toEqual(["secret", "to"]);
    expect(statSync(outside)).toMatchObject({ mode: before.mode, mtimeMs: before.mtimeMs });
    expect(readFileSync(`${outside}/secret`, "utf8")).toBe("secret");
    expect(existsSync("/tmp/thaw-escaped")).toBe(false);
    expect(readdirSync(`${outside}/to`).filter((name) => name.startsWith(".thaw"))).toEqual([]);
  });

  test("replaces links themselves, and not what they lead to", async ({ agent }) => {
    const { directory } = agent;
    mkdirSync(`${directory}/to`);
    writeFileSync(`${directory}/victim`, "victim");
    symlinkSync("../victim", `${directory}/to/file`);

    await agent
      .filesystem()
      .writeTree(writeTreeMessages({ path: `${directory}/to` }, handmade({ content })));

    expect(readFileSync(`${directory}/victim`, "utf8")).toBe("victim");
    expect(lstatSync(`${directory}/to/file`).isFile()).toBe(true);
  });

  test("may name one file twice for the same link", async ({ agent }) => {
    const path = `${agent.directory}/to`;
    const again = { path: "again", type: "hardLink", linkPath: "file" } as const;

    const tar = handmade({ content }, again, again);
    await agent.filesystem().writeTree(writeTreeMessages({ path }, tar));

    expect(readdirSync(path).toSorted()).toEqual(["again", "file"]);
    expect(statSync(`${path}/file`).nlink).toBe(2);
  });

  test("leaves mode and time of a directory that was there before", async ({ agent }) => {
    const to = `${agent.directory}/to`;
    mkdirSync(to, { mode: 0o711 });

    const tar = handmade({ path: ".", type: "directory", mode: 0o700 });
    await agent.filesystem().writeTree(writeTreeMessages({ path: to }, tar));

    expect(statSync(to).mode & 0o777).toBe(0o711);
  });

  test.for([
    ["no tar stream", randomBytes(2_000)],
    ["half an entry", handmade({ content: randomBytes(5_000) }).subarray(0, 3_000)],
    ["half a header", handmade({ content }).subarray(0, 300)],
    ["a pipe", gnuTarOfPipe()],
    ["a sparse file with less than nothing in a segment", sparseBelowNothing()],
    ["a link to nothing", handmade({ type: "symlink", linkPath: "" })],
    ["a link with a NUL byte", handmade({ type: "symlink", linkPath: `a\0${"b".repeat(100)}` })],
    [
      "a hard link with a NUL byte",
      handmade({ type: "hardLink", linkPath: `a\0${"b".repeat(100)}` }),
    ],
    ["an owner that no system has", handmade({ content, uid: 2 ** 32 })],
    ["an owner that says to change none", handmade({ content, gid: 2 ** 32 - 1 })],
  ] as const)("refuses %s, and leaves nothing half done", async ([, tar], { agent }) => {
    const path = `${agent.directory}/to`;
    makeTree(agent.directory, "to/");
    writeFileSync(`${path}/file`, "old");

    const writing = agent
      .filesystem()
      .writeTree(writeTreeMessages({ path, keepOwners: true }, tar), { timeoutMs: 10_000 });

    expect((await failureOf(writing)).code).toBe(Code.InvalidArgument);
    expect(readdirSync(path)).toEqual(["file"]);
    expect(readFileSync(`${path}/file`, "utf8")).toBe("old");
  });

  test("fails when the stream ends without its end, or is not what was sent", async ({ agent }) => {
    const path = `${agent.directory}/to`;
    const tar = handmade({ content });
    const client = agent.filesystem();

    const cut = client.writeTree(writeTreeMessages({ path }, tar, { ends: false }));
    expect((await failureOf(cut)).code).toBe(Code.FailedPrecondition);
    const other = client.writeTree(writeTreeMessages({ path }, tar, { sum: randomBytes(32) }));
    expect((await failureOf(other)).code).toBe(Code.DataLoss);
  });

  test("that is cut off anywhere leaves each file as it was or as it will be", async ({
    agent,
  }) => {
    const path = `${agent.directory}/to`;
    const names = ["a", "b", "c", "d"];
    const fresh = names.map((name) => ({ path: name, content: randomBytes(300_000) }));
    const tar = handmade(...fresh);
    makeTree(agent.directory, "to/");
    const open = frame(message({ case: "open", value: { path } }));
    const sending = Buffer.concat([
      open,
      ...Array.from({ length: Math.ceil(tar.length / 50_000) }, (_, index) =>
        frame(
          message({ case: "chunk", value: tar.subarray(index * 50_000, (index + 1) * 50_000) }),
        ),
      ),
    ]);
    for (let round = 0; round < 20; round += 1) {
      for (const name of names) writeFileSync(`${path}/${name}`, `old ${name}`);

      await sendAndReset(agent.url, sending.subarray(0, Math.random() * sending.length));

      await vi.waitFor(() => expect(openFilesIn(path)).toEqual([]));
      for (const { path: name, content: now } of fresh) {
        const found = readFileSync(`${path}/${name}`);
        expect(found.equals(now) || found.toString() === `old ${name}`).toBe(true);
      }
      await vi.waitFor(() => expect(readdirSync(path).toSorted()).toEqual(names));
    }
  });

  test("says that the disk is full, and leaves the files on it whole", async ({ agent }) => {
    using disk = smallFilesystem("size=2m");
    writeFileSync(`${disk.path}/file`, "old");
    const tar = handmade(
      { path: "fits", content: randomBytes(100_000) },
      { content: randomBytes(3 * MIB) },
    );

    const writing = agent.filesystem().writeTree(writeTreeMessages({ path: disk.path }, tar));

    expect((await failureOf(writing)).code).toBe(Code.ResourceExhausted);
    expect(readFileSync(`${disk.path}/file`, "utf8")).toBe("old");
    expect(readdirSync(disk.path).toSorted()).toEqual(["file", "fits"]);
  });
});

/** A stream with a named pipe in it. */
function gnuTarOfPipe(): Buffer {
  const file = handmade({ path: "pipe" });
  file.write("6", 156, "latin1");
  summed(file);
  expect(gnuTar(["-tvf", "-"], file).toString()).toMatch(/^p/);
  return file;
}

/** GNU tar's older format of a sparse file, with segments of -5 and 10 bytes. */
function sparseBelowNothing(): Buffer {
  const tar = handmade({ content: Buffer.from("bytes") });
  tar.write("S", 156, "latin1");
  const octal = (value: number, at: number) => {
    tar.write(value.toString(8).padStart(11, "0"), at, "latin1");
  };
  octal(5, 124);
  octal(10, 386);
  tar.fill(0xff, 398, 409);
  tar[409] = 0xfb;
  octal(5, 410);
  octal(10, 422);
  octal(15, 483);
  return summed(tar);
}

/** The same with the checksum of its first header put right. */
function summed(tar: Buffer): Buffer {
  let sum = 8 * 0x20;
  for (const [index, byte] of tar.subarray(0, 512).entries()) {
    if (index < 148 || index >= 156) sum += byte;
  }
  tar.write(sum.toString(8).padStart(6, "0"), 148, "latin1");
  return tar;
}

type Event = NonNullable<MessageInitShape<typeof WriteTreeRequestSchema>["event"]>;

function message(event: Event): Uint8Array {
  return toBinary(WriteTreeRequestSchema, create(WriteTreeRequestSchema, { event }));
}

/** Sends a part of a call over HTTP/2, and resets its stream. */
async function sendAndReset(url: string, part: Buffer): Promise<void> {
  const session = connectHttp2(url);
  const stream = session.request({
    ":method": "POST",
    ":path": "/filesystem.Filesystem/WriteTree",
    "content-type": "application/connect+proto",
  });
  stream.on("error", () => {}).resume();
  await new Promise((resolve) => {
    stream.write(part, resolve);
  });
  stream.close(8);
  await new Promise((resolve) => {
    stream.once("close", resolve);
  });
  session.destroy();
}
