import { randomBytes } from "node:crypto";
import { mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { Code, ConnectError } from "@connectrpc/connect";
import { describe, expect, vi } from "vitest";
import { Snapshot } from "../../gen/snapshot/snapshot_pb.js";
import { test } from "../helpers/agent.ts";
import { breaks, writeFileBody } from "../helpers/cut-uploads.ts";
import { failureOf } from "../helpers/filesystem.ts";
import { seeded } from "../helpers/resuming.ts";
import { openFilesIn, smallFilesystem } from "../helpers/scratch.ts";
import { newUploadId, sha256, uploadInChunks, writeFileMessages } from "../helpers/uploads.ts";

/** How often each way of breaking off is tried: 42 cuts, or 204 in the long form. */
const CUTS = process.env["THAW_LONG"] === "1" ? 34 : 7;

describe("an upload that is cut at random offsets", () => {
  test.for(breaks)(
    "leaves the old file or the new one, and goes on: %s",
    { timeout: 300_000 },
    async ([, breakOff], { agent }) => {
      const client = agent.filesystem("h2-proto");
      const directory = `${agent.directory}/d`;
      mkdirSync(directory);
      const path = `${directory}/file`;
      const random = seeded(CUTS);
      for (let cut = 0; cut < CUTS; cut += 1) {
        const old = randomBytes(50_000);
        writeFileSync(path, old);
        const content = randomBytes(1 + random(800_000));
        const open = { path, uploadId: newUploadId() };
        const { body, commitAt } = await writeFileBody(open, content, 0);
        // Now and then the commit arrives, and its answer is lost.
        const isWhole = random(8) === 0;
        const at = isWhole ? body.length : random(commitAt);

        await breakOff(agent, body.subarray(0, at));

        await vi.waitFor(() => expect(openFilesIn(directory)).toEqual([]), { timeout: 10_000 });
        const found = readFileSync(path);
        expect(found.equals(old) || (isWhole && found.equals(content))).toBe(true);
        const { offset } = await client.beginUpload(open);
        const messages = writeFileMessages(open, content, { from: Number(offset) });
        const { committed } = await client.writeFile(messages);

        expect(offset).toBeLessThanOrEqual(BigInt(content.length));
        expect(Buffer.from(committed?.sha256 ?? []).equals(sha256(content))).toBe(true);
        expect(readFileSync(path).equals(content)).toBe(true);
        expect(readdirSync(directory)).toEqual(["file"]);
      }
    },
  );

  test("keeps what has arrived", async ({ agent }) => {
    const client = agent.filesystem("h2-proto");
    const open = { path: `${agent.directory}/file`, uploadId: newUploadId() };
    const content = randomBytes(1_000_000);
    const arrived = async () => Number((await client.beginUpload(open)).offset);
    const leave = new AbortController();
    const messages = async function* () {
      yield* writeFileMessages(open, content, { commits: false });
      await expect.poll(arrived).toBe(1_000_000);
      leave.abort();
    };

    const cut = client.writeFile(messages(), { signal: leave.signal });

    expect((await failureOf(cut)).code).toBe(Code.Canceled);
    expect(await arrived()).toBe(1_000_000);
  });
});

test("an upload goes on after a snapshot in its middle, and so does its checksum", async ({
  agent,
}) => {
  const open = { path: `${agent.directory}/file`, uploadId: newUploadId() };
  const content = randomBytes(600_000);
  const before = agent.filesystem("h2-proto");
  const snapshot = agent.client(Snapshot, "h1-json");
  const messages = async function* () {
    yield* writeFileMessages(open, content.subarray(0, 300_000), { commits: false });
    const arrived = async () => Number((await before.beginUpload(open)).offset);
    await expect.poll(arrived).toBe(300_000);
    await snapshot.prepare({});
    await snapshot.restore({});
    throw new Error("whoever was here before is not any more");
  };

  await expect(before.writeFile(messages())).rejects.toThrow();
  const after = agent.filesystem("h1-proto");
  const { offset } = await after.beginUpload(open);
  await after.writeFile(writeFileMessages(open, content, { from: Number(offset) }));

  expect(offset).toBe(300_000n);
  expect(readFileSync(open.path).equals(content)).toBe(true);
});

describe("an upload to a full disk", () => {
  test("is refused at once when its size is known, and changes nothing", async ({ agent }) => {
    using disk = smallFilesystem("size=2m");
    const path = `${disk.path}/file`;
    writeFileSync(path, "old");
    const open = { path, uploadId: newUploadId(), size: 3_000_000n };

    const begin = agent.filesystem().beginUpload(open);

    expect(await failureOf(begin)).toEqual({
      code: Code.ResourceExhausted,
      message: `not enough disk space for 3000000 bytes: ${path}`,
    });
    expect(readFileSync(path, "utf8")).toBe("old");
    expect(readdirSync(disk.path)).toEqual(["file"]);
  });

  test("leaves the old file wherever it fails, and goes on once there is room", async ({
    agent,
  }) => {
    const client = agent.filesystem("h2-proto");
    using disk = smallFilesystem("size=3m");
    const path = `${disk.path}/file`;
    const random = seeded(11);
    for (let round = 0; round < CUTS; round += 1) {
      const old = randomBytes(200_000);
      writeFileSync(path, old);
      writeFileSync(`${disk.path}/filler`, Buffer.alloc(2_000_000 + random(800_000)));
      const content = randomBytes(1_000_000);
      const open = { path, uploadId: newUploadId() };

      const failed = await client
        .writeFile(writeFileMessages(open, content))
        .catch(ConnectError.from);

      expect(failed).toMatchObject({ code: Code.ResourceExhausted });
      expect(readFileSync(path).equals(old)).toBe(true);
      rmSync(`${disk.path}/filler`);
      await uploadInChunks(client, open, content);
      expect(readFileSync(path).equals(content)).toBe(true);
      expect(readdirSync(disk.path)).toEqual(["file"]);
    }
  });
});
