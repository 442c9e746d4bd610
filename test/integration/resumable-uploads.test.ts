import { randomBytes } from "node:crypto";
import { mkdirSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import type { MessageInitShape } from "@bufbuild/protobuf";
import { Code } from "@connectrpc/connect";
import { describe, expect } from "vitest";
import type { WriteFileRequestSchema } from "../../gen/filesystem/filesystem_pb.js";
import { describeTransports, test } from "../helpers/agent.ts";
import { failureOf } from "../helpers/filesystem.ts";
import { seeded } from "../helpers/resuming.ts";
import { openFilesIn } from "../helpers/scratch.ts";
import {
  expectedOffset,
  newUploadId,
  sha256,
  uploadInChunks,
  writeFileMessages,
} from "../helpers/uploads.ts";

type Message = MessageInitShape<typeof WriteFileRequestSchema>;

async function* send(...messages: Message[]): AsyncIterable<Message> {
  yield* messages;
}

describeTransports("an upload", (transport) => {
  test("arrives in chunks, and is nothing before its commit", async ({ agent }) => {
    const client = agent.filesystem(transport);
    const directory = `${agent.directory}/d`;
    const path = `${directory}/deep/file`;
    const content = randomBytes(300_000);
    const uploadId = newUploadId();

    await client.beginUpload({ path, uploadId, size: BigInt(content.length) });
    await client.writeChunk({ uploadId, offset: 0n, data: content.subarray(0, 100_000) });
    const { entries } = await client.listDir({ path: directory, depth: 9 });
    const answer = await uploadInChunks(client, { path, uploadId }, content);

    expect(entries.map(({ name }) => name)).not.toContain("file");
    expect(readFileSync(path).equals(content)).toBe(true);
    expect(answer).toMatchObject({ isAtomic: true, entry: { path, size: 300_000n, mode: 0o644 } });
    expect(Buffer.from(answer.sha256).equals(sha256(content))).toBe(true);
    expect(readdirSync(`${directory}/deep`)).toEqual(["file"]);
  });

  test("arrives in one call", async ({ agent }) => {
    const client = agent.filesystem(transport);
    const path = `${agent.directory}/file`;
    const content = randomBytes(1_000_000);

    const { committed } = await client.writeFile(
      writeFileMessages({ path, uploadId: newUploadId() }, content),
    );

    expect(readFileSync(path).equals(content)).toBe(true);
    expect(committed).toMatchObject({ isAtomic: true, entry: { size: 1_000_000n } });
  });

  test("is whole, however often and with what overlap its bytes are sent", async ({ agent }) => {
    const client = agent.filesystem(transport);
    const path = `${agent.directory}/file`;
    const content = randomBytes(200_000);
    const uploadId = newUploadId();
    const random = seeded(7);
    let arrived = Number((await client.beginUpload({ path, uploadId })).offset);

    while (arrived < content.length) {
      const from = Math.max(0, arrived - random(20_000));
      const data = content.subarray(from, from + 1 + random(50_000));
      const leave = new AbortController();
      const request = { uploadId, offset: BigInt(from), data };
      const sending = client.writeChunk(request, { signal: leave.signal });
      if (random(3) === 0) leave.abort();
      arrived = Number((await sending.catch(() => undefined))?.offset ?? arrived);
    }
    await client.commitUpload({ uploadId, size: 200_000n, sha256: sha256(content) });

    expect(readFileSync(path).equals(content)).toBe(true);
  });

  test("says which offset it expects when there would be a hole", async ({ agent }) => {
    const client = agent.filesystem(transport);
    const path = `${agent.directory}/file`;
    const uploadId = newUploadId();
    await client.beginUpload({ path, uploadId });
    await client.writeChunk({ uploadId, offset: 0n, data: Buffer.from("abc") });

    const hole = client.writeChunk({ uploadId, offset: 4n, data: Buffer.from("e") });
    const early = client.commitUpload({ uploadId, size: 4n });

    expect(await hole.catch(expectedOffset)).toBe(3);
    expect(await early.catch(expectedOffset)).toBe(3);
    expect(await failureOf(hole)).toMatchObject({ code: Code.OutOfRange });
    expect(await failureOf(early)).toMatchObject({ code: Code.OutOfRange });
  });

  test("is committed once, however often that is asked for", async ({ agent }) => {
    const client = agent.filesystem(transport);
    const path = `${agent.directory}/file`;
    const content = randomBytes(1_000);
    const uploadId = newUploadId();
    const first = await uploadInChunks(client, { path, uploadId }, content);
    writeFileSync(path, "changed since");

    const second = await client.commitUpload({ uploadId, size: 1_000n, sha256: first.sha256 });
    const begun = await client.beginUpload({ path, uploadId });
    const chunk = await client.writeChunk({ uploadId, offset: 0n, data: content });
    const other = await failureOf(client.commitUpload({ uploadId, size: 999n }));

    expect(second).toEqual(first);
    expect([begun.offset, chunk.offset]).toEqual([1_000n, 1_000n]);
    expect(other.code).toBe(Code.AlreadyExists);
    expect(readFileSync(path, "utf8")).toBe("changed since");
  });

  test("that is not what was sent is forgotten, and the old file stays", async ({ agent }) => {
    const client = agent.filesystem(transport);
    mkdirSync(`${agent.directory}/d`);
    const path = `${agent.directory}/d/file`;
    writeFileSync(path, "old");
    const uploadId = newUploadId();
    await client.beginUpload({ path, uploadId });
    await client.writeChunk({ uploadId, offset: 0n, data: Buffer.from("torn") });

    const commit = client.commitUpload({ uploadId, size: 4n, sha256: sha256(Buffer.from("new!")) });

    expect((await failureOf(commit)).code).toBe(Code.DataLoss);
    expect(readFileSync(path, "utf8")).toBe("old");
    expect(readdirSync(`${agent.directory}/d`)).toEqual(["file"]);
    expect((await client.beginUpload({ path, uploadId })).offset).toBe(0n);
  });

  test("that is cancelled leaves nothing, and may be cancelled again", async ({ agent }) => {
    const client = agent.filesystem(transport);
    const path = `${agent.directory}/d/file`;
    const uploadId = newUploadId();
    await client.beginUpload({ path, uploadId });
    await client.writeChunk({ uploadId, offset: 0n, data: Buffer.from("abc") });

    await client.cancelUpload({ uploadId });
    await client.cancelUpload({ uploadId });
    const write = client.writeChunk({ uploadId, offset: 3n, data: Buffer.from("d") });

    expect((await failureOf(write)).code).toBe(Code.NotFound);
    expect(readdirSync(`${agent.directory}/d`)).toEqual([]);
  });

  test("belongs to one path", async ({ agent }) => {
    const client = agent.filesystem(transport);
    const uploadId = newUploadId();
    await client.beginUpload({ path: `${agent.directory}/one`, uploadId });

    const other = client.beginUpload({ path: `${agent.directory}/other`, uploadId });

    expect((await failureOf(other)).code).toBe(Code.AlreadyExists);
  });
});

describe("WriteFile", () => {
  test("writes nothing when its stream ends without a commit, and is gone on with", async ({
    agent,
  }) => {
    const client = agent.filesystem("h2-proto");
    const path = `${agent.directory}/file`;
    writeFileSync(path, "old");
    const content = randomBytes(500_000);
    const open = { path, uploadId: newUploadId() };

    const half = client.writeFile(
      writeFileMessages(open, content.subarray(0, 250_000), { commits: false }),
    );
    expect((await failureOf(half)).code).toBe(Code.FailedPrecondition);
    expect(readFileSync(path, "utf8")).toBe("old");
    const { offset } = await client.beginUpload(open);
    await client.writeFile(writeFileMessages(open, content, { from: Number(offset) }));

    expect(offset).toBe(250_000n);
    expect(readFileSync(path).equals(content)).toBe(true);
  });

  test("refuses messages out of order", async ({ agent }) => {
    const client = agent.filesystem();
    const open = { path: `${agent.directory}/file`, uploadId: newUploadId() };
    const first: Message = { event: { case: "open", value: open } };
    const chunk: Message = { event: { case: "chunk", value: { data: Buffer.from("abc") } } };

    const early = await failureOf(client.writeFile(send(chunk, first)));
    const twice = await failureOf(client.writeFile(send(first, first)));

    expect([early.code, twice.code]).toEqual([Code.InvalidArgument, Code.InvalidArgument]);
  });

  test("holds no file open once its stream is over", async ({ agent }) => {
    const client = agent.filesystem();
    mkdirSync(`${agent.directory}/d`);
    const open = { path: `${agent.directory}/d/file`, uploadId: newUploadId() };
    const messages = writeFileMessages(open, Buffer.from("abc"), { commits: false });

    await client.writeFile(messages).catch(() => {});

    await expect.poll(() => openFilesIn(`${agent.directory}/d`)).toEqual([]);
  });
});

describe("an upload that cannot be", () => {
  test.for([
    ["no id", { uploadId: "" }],
    ["an id with a slash", { uploadId: "../x" }],
    ["too long an id", { uploadId: "x".repeat(129) }],
    ["more than permission bits", { mode: 0o100644 }],
    ["a directory", { path: "/tmp" }],
    ["a path that ends with a slash", { path: "/tmp/nothing-there/" }],
    ["a device", { path: "/dev/null" }],
    ["a file in the way", { path: "/etc/passwd/x" }],
  ] as const)("is refused: %s", async ([, request], { agent }) => {
    const begin = agent
      .filesystem()
      .beginUpload({ path: `${agent.directory}/file`, uploadId: newUploadId(), ...request });

    expect((await failureOf(begin)).code).toBe(Code.InvalidArgument);
  });

  test("is refused: a chunk of more than 4 MiB", async ({ agent }) => {
    const uploadId = newUploadId();
    await agent.filesystem().beginUpload({ path: `${agent.directory}/file`, uploadId });
    const data = new Uint8Array(4 * 1024 * 1024 + 1);

    const write = agent.filesystem().writeChunk({ uploadId, offset: 0n, data });

    expect((await failureOf(write)).code).toBe(Code.InvalidArgument);
  });
});
