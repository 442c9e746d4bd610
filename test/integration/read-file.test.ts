import { randomBytes } from "node:crypto";
import {
  appendFileSync,
  chmodSync,
  readFileSync,
  renameSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { Code } from "@connectrpc/connect";
import { describe, expect } from "vitest";
import type { ReadFileResponse } from "../../gen/filesystem/filesystem_pb.js";
import { describeTransports, test } from "../helpers/agent.ts";
import { failureOf } from "../helpers/filesystem.ts";
import { openFilesIn } from "../helpers/scratch.ts";
import { expectedOffset, sha256 } from "../helpers/uploads.ts";

const MIB = 1024 * 1024;

/** What a whole stream has brought. */
async function collect(stream: AsyncIterable<ReadFileResponse>) {
  const kinds: string[] = [];
  const chunks: Uint8Array[] = [];
  let version = "";
  let size: bigint | undefined;
  let end: { sha256: Uint8Array; bytes: bigint } | undefined;
  for await (const { event } of stream) {
    kinds.push(event.case ?? "nothing");
    if (event.case === "start") ({ version } = event.value);
    if (event.case === "start") size = event.value.entry?.size;
    if (event.case === "chunk") chunks.push(event.value);
    if (event.case === "end") end = event.value;
  }
  return { kinds, chunks, content: Buffer.concat(chunks), version, size, end };
}

describeTransports("ReadFile", (transport) => {
  test("sends a file whole, with its checksum at the end", async ({ agent }) => {
    const path = `${agent.directory}/file`;
    const content = randomBytes(700_000);
    writeFileSync(path, content);

    const read = await collect(agent.filesystem(transport).readFile({ path }));

    expect(read.kinds).toEqual(["start", "chunk", "chunk", "chunk", "end"]);
    expect(read.size).toBe(700_000n);
    expect(read.content.equals(content)).toBe(true);
    expect(read.end?.bytes).toBe(700_000n);
    expect(Buffer.from(read.end?.sha256 ?? []).equals(sha256(content))).toBe(true);
  });

  test.for([
    ["what comes before as well", 0n, 200_000n],
    ["a part of what comes before", 99_999n, 200_000n],
    ["all that was had already", 0n, 300_000n],
  ] as const)("sums up %s", async ([, sumFrom, offset], { agent }) => {
    const path = `${agent.directory}/file`;
    const content = randomBytes(300_000);
    writeFileSync(path, content);
    const request = { path, offset, sumFrom, chunkBytes: 4_096 };

    const read = await collect(agent.filesystem(transport).readFile(request));

    expect(read.content.equals(content.subarray(Number(offset)))).toBe(true);
    expect(read.end?.bytes).toBe(300_000n - offset);
    const sum = sha256(content.subarray(Number(sumFrom)));
    expect(Buffer.from(read.end?.sha256 ?? []).equals(sum)).toBe(true);
  });

  test("refuses to sum up from behind its beginning", async ({ agent }) => {
    const path = `${agent.directory}/file`;
    writeFileSync(path, "content");
    const reading = collect(agent.filesystem(transport).readFile({ path, sumFrom: 1n }));

    expect(await failureOf(reading)).toMatchObject({ code: Code.InvalidArgument });
  });

  test.for([
    ["from an offset", { offset: 100n }, 100, 300_000],
    ["a part", { offset: 100n, length: 5_000n }, 100, 5_100],
    ["nothing", { offset: 100n, length: 0n }, 100, 100],
    ["from its end", { offset: 300_000n }, 300_000, 300_000],
    ["beyond its end", { offset: 299_999n, length: 9n }, 299_999, 300_000],
  ] as const)("sends a file %s", async ([, range, from, to], { agent }) => {
    const path = `${agent.directory}/file`;
    const content = randomBytes(300_000);
    writeFileSync(path, content);

    const read = await collect(
      agent.filesystem(transport).readFile({ path, ...range, chunkBytes: 4_096 }),
    );

    expect(read.content.equals(content.subarray(from, to))).toBe(true);
    expect(read.end?.bytes).toBe(BigInt(to - from));
    expect(Buffer.from(read.end?.sha256 ?? []).equals(sha256(read.content))).toBe(true);
    expect(read.chunks.every(({ length }) => length <= 4_096)).toBe(true);
  });
});

describe("ReadFile", () => {
  test("goes on with the version that it was, and with no other", async ({ agent }) => {
    const client = agent.filesystem();
    const path = `${agent.directory}/file`;
    writeFileSync(path, "0123456789");
    const { version } = await collect(client.readFile({ path, length: 5n }));

    const rest = await collect(client.readFile({ path, offset: 5n, version }));
    appendFileSync(path, "x");
    const appended = await failureOf(collect(client.readFile({ path, offset: 5n, version })));
    const { version: longer } = await collect(client.readFile({ path, length: 0n }));
    chmodSync(path, 0o600);
    const changed = await failureOf(collect(client.readFile({ path, version: longer })));
    writeFileSync(`${path}.new`, "0123456789");
    renameSync(`${path}.new`, path);
    const replaced = await failureOf(collect(client.readFile({ path, offset: 5n, version })));

    expect(rest.content.toString()).toBe("56789");
    const { Aborted } = Code;
    expect([appended.code, changed.code, replaced.code]).toEqual([Aborted, Aborted, Aborted]);
  });

  test("fails in the end when the file was written to meanwhile", async ({ agent }) => {
    const path = `${agent.directory}/file`;
    writeFileSync(path, randomBytes(64 * MIB));
    const stream = agent.filesystem("h2-proto").readFile({ path });
    let hasChanged = false;
    const kinds = new Set<string | undefined>();

    const reading = (async () => {
      for await (const { event } of stream) {
        kinds.add(event.case);
        // In place, and as long as before: only the time tells.
        if (!hasChanged) writeFileSync(path, "x", { flag: "r+" });
        hasChanged = true;
      }
    })();

    expect((await failureOf(reading)).code).toBe(Code.Aborted);
    expect(kinds.has("end")).toBe(false);
  });

  test("sends the old file to its end when another takes its place", async ({ agent }) => {
    const path = `${agent.directory}/file`;
    const content = randomBytes(16 * MIB);
    writeFileSync(path, content);
    const chunks: Uint8Array[] = [];
    let sum: Uint8Array = new Uint8Array();

    for await (const { event } of agent.filesystem("h2-proto").readFile({ path })) {
      if (event.case === "start") {
        writeFileSync(`${path}.new`, "new");
        renameSync(`${path}.new`, path);
      }
      if (event.case === "chunk") chunks.push(event.value);
      if (event.case === "end") sum = event.value.sha256;
    }

    expect(Buffer.concat(chunks).equals(content)).toBe(true);
    expect(Buffer.from(sum).equals(sha256(content))).toBe(true);
  });

  test("sends what the kernel makes up while it is read", async ({ agent }) => {
    const read = await collect(agent.filesystem().readFile({ path: "/proc/version", offset: 1n }));

    expect(read.content.equals(readFileSync("/proc/version").subarray(1))).toBe(true);
    expect(read.kinds).toEqual(["start", "chunk", "end"]);
  });

  test("follows a link", async ({ agent }) => {
    writeFileSync(`${agent.directory}/file`, "abc");
    symlinkSync("file", `${agent.directory}/link`);

    const read = await collect(agent.filesystem().readFile({ path: `${agent.directory}/link` }));

    expect(read.content.toString()).toBe("abc");
  });

  test("says where a file ends when it is asked for more", async ({ agent }) => {
    const path = `${agent.directory}/file`;
    writeFileSync(path, "abc");

    const reading = collect(agent.filesystem().readFile({ path, offset: 4n }));

    expect((await failureOf(reading)).code).toBe(Code.OutOfRange);
    expect(await reading.catch(expectedOffset)).toBe(3);
  });

  test.for([
    ["nothing", { path: "/nothing/there" }, Code.NotFound],
    ["a directory", { path: "/tmp" }, Code.InvalidArgument],
    ["a device", { path: "/dev/zero" }, Code.InvalidArgument],
    ["too small a chunk", { path: "/etc/passwd", chunkBytes: 4_095 }, Code.InvalidArgument],
    ["too large a chunk", { path: "/etc/passwd", chunkBytes: 4 * MIB + 1 }, Code.InvalidArgument],
  ] as const)("refuses %s", async ([, request, code], { agent }) => {
    const reading = collect(agent.filesystem().readFile(request));

    expect((await failureOf(reading)).code).toBe(code);
  });

  test.for(["h1-proto", "h2-proto"] as const)(
    "closes the file when its caller leaves, over %s",
    async (transport, { agent }) => {
      const path = `${agent.directory}/file`;
      writeFileSync(path, randomBytes(64 * MIB));

      const leave = new AbortController();
      const options = { signal: leave.signal };
      const reading = (async () => {
        for await (const { event } of agent.filesystem(transport).readFile({ path }, options)) {
          if (event.case === "chunk") leave.abort();
        }
      })();

      expect((await failureOf(reading)).code).toBe(Code.Canceled);
      await expect.poll(() => openFilesIn(agent.directory)).toEqual([]);
    },
  );
});
