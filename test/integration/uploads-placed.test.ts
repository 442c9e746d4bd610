import { execFileSync } from "node:child_process";
import { randomBytes } from "node:crypto";
import {
  chmodSync,
  chownSync,
  closeSync,
  linkSync,
  lstatSync,
  mkdirSync,
  openSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { Code } from "@connectrpc/connect";
import { describe, expect } from "vitest";
import { EventType } from "../../gen/filesystem/filesystem_pb.js";
import { Snapshot } from "../../gen/snapshot/snapshot_pb.js";
import { test } from "../helpers/agent.ts";
import { failureOf } from "../helpers/filesystem.ts";
import { smallFilesystem } from "../helpers/scratch.ts";
import { gnuTar, writeTreeMessages } from "../helpers/trees.ts";
import { newUploadId, uploadInChunks, writeFileMessages } from "../helpers/uploads.ts";

const content = Buffer.from("the new content");

/** Bind-mounts `source` at `target` as long as the scope lasts. */
function bindMount(source: string, target: string, ...options: string[]): Disposable {
  execFileSync("mount", ["--bind", source, target]);
  if (options.length > 0) execFileSync("mount", ["-o", `remount,bind,${options.join()}`, target]);
  return { [Symbol.dispose]: () => void execFileSync("umount", ["-l", target]) };
}

describe("a file that an upload replaces", () => {
  test("hands on its mode and its owner", async ({ agent }) => {
    const path = `${agent.directory}/file`;
    writeFileSync(path, "old");
    chownSync(path, 1234, 5678);
    chmodSync(path, 0o4755);

    await uploadInChunks(agent.filesystem(), { path, uploadId: newUploadId() }, content);

    expect(statSync(path)).toMatchObject({ mode: 0o104755, uid: 1234, gid: 5678 });
  });

  test("gets what is asked for instead", async ({ agent }) => {
    const path = `${agent.directory}/file`;
    writeFileSync(path, "old");
    const modifiedTime = { seconds: 1_000_000_000n, nanos: 123_456_789 };
    const open = { path, uploadId: newUploadId(), mode: 0o2711, uid: 77, gid: 88, modifiedTime };

    const { entry } = await uploadInChunks(agent.filesystem(), open, content);

    expect(statSync(path)).toMatchObject({ mode: 0o102711, uid: 77, gid: 88 });
    expect(statSync(path, { bigint: true }).mtimeNs).toBe(1_000_000_000_123_456_789n);
    expect(entry?.modifiedTime).toMatchObject(modifiedTime);
  });

  test("stays whole under its other names, and for who has it open", async ({ agent }) => {
    const path = `${agent.directory}/file`;
    writeFileSync(path, "old");
    linkSync(path, `${path}-too`);
    const before = openSync(path, "r");

    await uploadInChunks(agent.filesystem(), { path, uploadId: newUploadId() }, content);

    const found = readFileSync(before, "utf8");
    closeSync(before);
    expect([found, readFileSync(`${path}-too`, "utf8")]).toEqual(["old", "old"]);
    expect(readFileSync(path).equals(content)).toBe(true);
  });

  test("is what a link leads to; the link stays", async ({ agent }) => {
    const { directory } = agent;
    mkdirSync(`${directory}/elsewhere`);
    writeFileSync(`${directory}/elsewhere/file`, "old");
    symlinkSync("elsewhere/file", `${directory}/link`);
    symlinkSync(`${directory}/missing/new`, `${directory}/dangling`);

    for (const name of ["link", "dangling"]) {
      const open = { path: `${directory}/${name}`, uploadId: newUploadId() };
      await uploadInChunks(agent.filesystem(), open, content);
    }

    expect(readlinkSync(`${directory}/link`)).toBe("elsewhere/file");
    expect(readFileSync(`${directory}/elsewhere/file`).equals(content)).toBe(true);
    expect(readFileSync(`${directory}/missing/new`).equals(content)).toBe(true);
    expect(readdirSync(`${directory}/elsewhere`)).toEqual(["file"]);
  });

  test("belongs to the caller when it is new, with its parents", async ({ agent, user }) => {
    const path = `${agent.directory}/made/file`;
    const headers = { Authorization: `Basic ${btoa(`${user.name}:`)}` };

    const open = { path, uploadId: newUploadId() };
    await agent.filesystem().writeFile(writeFileMessages(open, content), { headers });

    expect(statSync(path)).toMatchObject({ uid: user.uid, gid: user.gid, mode: 0o100644 });
    expect(statSync(`${agent.directory}/made`).uid).toBe(user.uid);
  });
});

describe("a file that cannot be replaced", () => {
  test("is overwritten when it is mounted, and that is told", async ({ agent }) => {
    const { directory } = agent;
    writeFileSync(`${directory}/source`, "a much longer old content than the new one");
    writeFileSync(`${directory}/file`, "");
    using _ = bindMount(`${directory}/source`, `${directory}/file`);
    const open = { path: `${directory}/file`, uploadId: newUploadId(), mode: 0o600 };

    const answer = await uploadInChunks(agent.filesystem(), open, content);

    expect(answer.isAtomic).toBe(false);
    expect(readFileSync(`${directory}/source`).equals(content)).toBe(true);
    expect(statSync(`${directory}/source`).mode & 0o777).toBe(0o600);
    expect(readdirSync(directory).filter((name) => name.startsWith(".thaw"))).toEqual([]);
  });

  test("is overwritten by a tree as well", async ({ agent }) => {
    const { directory } = agent;
    for (const name of ["from", "to"]) mkdirSync(`${directory}/${name}`);
    writeFileSync(`${directory}/from/file`, content);
    writeFileSync(`${directory}/source`, "a much longer old content than the new one");
    writeFileSync(`${directory}/to/file`, "");
    using _ = bindMount(`${directory}/source`, `${directory}/to/file`);

    const tar = gnuTar(["-C", `${directory}/from`, "-cf", "-", "file"]);
    await agent.filesystem().writeTree(writeTreeMessages({ path: `${directory}/to` }, tar));

    expect(readFileSync(`${directory}/source`).equals(content)).toBe(true);
    expect(readdirSync(`${directory}/to`)).toEqual(["file"]);
  });

  test("stays as it is when its own disk is full", async ({ agent }) => {
    using disk = smallFilesystem("size=1m");
    writeFileSync(`${disk.path}/source`, "old");
    writeFileSync(`${agent.directory}/file`, "");
    using _ = bindMount(`${disk.path}/source`, `${agent.directory}/file`);
    const open = { path: `${agent.directory}/file`, uploadId: newUploadId() };

    const upload = uploadInChunks(agent.filesystem(), open, randomBytes(2_000_000));

    expect((await failureOf(upload)).code).toBe(Code.ResourceExhausted);
    expect(readFileSync(`${disk.path}/source`, "utf8")).toBe("old");
  });

  test("is overwritten in a directory that takes no files", async ({ agent }) => {
    const { directory } = agent;
    mkdirSync(`${directory}/closed`);
    writeFileSync(`${directory}/closed/file`, "old");
    writeFileSync(`${directory}/source`, "old");
    using _ = bindMount(`${directory}/closed`, `${directory}/closed`, "ro");
    using __ = bindMount(`${directory}/source`, `${directory}/closed/file`);
    const uploadId = newUploadId();

    const answer = await uploadInChunks(
      agent.filesystem(),
      { path: `${directory}/closed/file`, uploadId },
      content,
    );

    expect(answer.isAtomic).toBe(false);
    expect(readFileSync(`${directory}/source`).equals(content)).toBe(true);
    expect(() => lstatSync(`/var/tmp/.thaw-upload-${uploadId}`)).toThrow("ENOENT");
  });
});

test("whoever watches is told of the file when it is complete, and of nothing before", async ({
  agent,
}) => {
  const client = agent.filesystem();
  const path = `${agent.directory}/place`;
  mkdirSync(path);
  const { watcherId } = await client.createWatcher({ path, recursive: true });
  const open = { path: `${path}/file`, uploadId: newUploadId() };

  await client.beginUpload(open);
  await client.writeChunk({ uploadId: open.uploadId, offset: 0n, data: content.subarray(0, 5) });
  const before = await client.getWatcherEvents({ watcherId });
  await uploadInChunks(client, open, content);
  const after = await client.getWatcherEvents({ watcherId });

  expect(before.events).toEqual([]);
  expect(after.events).toMatchObject([{ name: "file", type: EventType.CREATE }]);
});

test("an upload counts for a snapshot while something arrives, and not in between", async ({
  agent,
}) => {
  const client = agent.filesystem("h2-proto");
  const snapshot = agent.client(Snapshot);
  const open = { path: `${agent.directory}/file`, uploadId: newUploadId() };
  let report: { uploads: number } | undefined;

  await client
    .writeFile(
      (async function* () {
        for await (const message of writeFileMessages(open, content, { commits: false })) {
          yield message;
        }
        await expect.poll(async () => (await client.beginUpload(open)).offset).toBe(15n);
        report = await snapshot.prepare({});
      })(),
    )
    .catch(() => {});
  const later = await snapshot.prepare({});

  expect(report?.uploads).toBe(1);
  expect(later.uploads).toBe(0);
});
