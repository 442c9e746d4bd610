import { randomBytes } from "node:crypto";
import {
  chmodSync,
  chownSync,
  closeSync,
  ftruncateSync,
  lchownSync,
  linkSync,
  lstatSync,
  lutimesSync,
  mkdirSync,
  openSync,
  readFileSync,
  symlinkSync,
  truncateSync,
  utimesSync,
  writeFileSync,
  writeSync,
} from "node:fs";
import { createServer } from "node:net";
import { Code } from "@connectrpc/connect";
import { describe, expect } from "vitest";
import { describeTransports, test } from "../helpers/agent.ts";
import { bytesPath, failureOf, makeTree } from "../helpers/filesystem.ts";
import { openFilesIn } from "../helpers/scratch.ts";
import { gnuTar, inventory, readTree, writeTreeMessages } from "../helpers/trees.ts";
import { sha256 } from "../helpers/uploads.ts";

const MIB = 1024 * 1024;
const LONG = "n".repeat(120);

/** A directory with one of everything that a copy has to keep. */
function makeEverything(root: string): void {
  mkdirSync(`${root}/deep/${LONG}/${LONG}`, { recursive: true });
  writeFileSync(`${root}/empty`, "");
  writeFileSync(`${root}/small`, "small");
  writeFileSync(`${root}/large`, randomBytes(MIB + 12_345));
  writeFileSync(`${root}/deep/${LONG}/${LONG}/leaf`, "leaf");
  linkSync(`${root}/small`, `${root}/deep/also-small`);
  symlinkSync("small", `${root}/link`);
  symlinkSync("/nowhere/" + LONG, `${root}/broken`);
  symlinkSync("deep", `${root}/link-to-directory`);
  writeFileSync(`${root}/ünïcode\nname`, "text");
  writeFileSync(bytesPath(`${root}/bytes-\xff\xfe`), "bytes");
  writeFileSync(bytesPath(`${root}/deep/${LONG}-\xff`), "long bytes");
  chmodSync(`${root}/small`, 0o4751);
  chownSync(`${root}/empty`, 1234, 5678);
  chownSync(`${root}/large`, 3_000_000, 4_000_000);
  lchownSync(`${root}/link`, 1234, 5678);
  mkdirSync(`${root}/closed`);
  chmodSync(`${root}/closed`, 0o1700);
  const sparse = openSync(`${root}/sparse`, "w");
  writeSync(sparse, "begin", 0);
  writeSync(sparse, "middle", 50 * MIB);
  ftruncateSync(sparse, 100 * MIB);
  closeSync(sparse);
  utimesSync(`${root}/empty`, 1_000_000_000.123456, 1_000_000_000.123456);
  utimesSync(`${root}/large`, -5.5, -5.5);
  lutimesSync(`${root}/link`, 1_100_000_000, 1_100_000_000.5);
  utimesSync(`${root}/deep`, 1_200_000_000, 1_200_000_000.25);
}

function blocks(path: string): number {
  return lstatSync(path).blocks;
}

describeTransports("a tree", (transport) => {
  test("is the same after it was read and written", async ({ agent }) => {
    const client = agent.filesystem(transport);
    const [from, to] = [`${agent.directory}/from`, `${agent.directory}/to`];
    makeTree(agent.directory, "from/a/b/file", "from/other");
    writeFileSync(`${from}/a/b/file`, randomBytes(100_000));
    symlinkSync("b/file", `${from}/a/link`);

    const { tar, end } = await readTree(client, from);
    const written = await client.writeTree(writeTreeMessages({ path: to, keepOwners: true }, tar));

    expect(inventory(to)).toEqual(inventory(from));
    expect(Buffer.from(end?.sha256 ?? []).equals(sha256(tar))).toBe(true);
    expect([end?.entries, written.entries, written.bytes]).toEqual([6n, 6n, 100_000n]);
    expect(end?.skipped).toEqual([]);
  });

  test("is listed in parts, with checksums when they are asked for", async ({ agent }) => {
    const client = agent.filesystem(transport);
    makeTree(agent.directory, "d/a/b/file", "d/c");
    writeFileSync(`${agent.directory}/d/c`, "content");
    symlinkSync("c", `${agent.directory}/d/link`);
    const entries: unknown[] = [];
    let isComplete = false;

    const request = { path: `${agent.directory}/d`, withSha256: true };
    for await (const part of client.listTree(request)) {
      entries.push(...part.entries.map(({ path, sha256: sum, size }) => [path, sum.length, size]));
      isComplete ||= part.isComplete;
    }

    expect(entries).toEqual([
      ["a", 0, expect.anything()],
      ["a/b", 0, expect.anything()],
      ["a/b/file", 32, 0n],
      ["c", 32, 7n],
      ["link", 0, 1n],
    ]);
    expect(isComplete).toBe(true);
  });
});

describe("a tree of everything", () => {
  test("keeps modes, owners, times, links, holes and names that are no text", async ({ agent }) => {
    const client = agent.filesystem("h2-proto");
    const [from, to] = [`${agent.directory}/from`, `${agent.directory}/to`];
    mkdirSync(from);
    makeEverything(from);

    const { tar } = await readTree(client, from);
    await client.writeTree(writeTreeMessages({ path: to, keepOwners: true }, tar));

    expect(inventory(to)).toEqual(inventory(from));
    expect(tar.length).toBeLessThan(3 * MIB);
    expect(blocks(`${to}/sparse`)).toBeLessThanOrEqual(blocks(`${from}/sparse`));
  });

  test("is read by GNU tar", async ({ agent }) => {
    const client = agent.filesystem("h2-proto");
    const [from, to] = [`${agent.directory}/from`, `${agent.directory}/to`];
    mkdirSync(from);
    mkdirSync(to);
    makeEverything(from);

    const { tar } = await readTree(client, from);
    gnuTar(["-C", to, "--numeric-owner", "-xpf", "-"], tar);

    expect(inventory(to)).toEqual(inventory(from));
    expect(blocks(`${to}/sparse`)).toBeLessThanOrEqual(blocks(`${from}/sparse`));
  });

  test.for([
    ["posix", ["--format=posix", "--sparse"]],
    ["gnu", ["--format=gnu", "--sparse"]],
    ["gnu without holes", ["--format=gnu"]],
  ] as const)("is written as GNU tar sends it: %s", async ([format, flags], { agent }) => {
    const client = agent.filesystem("h2-proto");
    const [from, to] = [`${agent.directory}/from`, `${agent.directory}/to`];
    mkdirSync(from);
    makeEverything(from);
    // Many holes: the map goes on in blocks of its own.
    const holes = openSync(`${from}/holes`, "w");
    for (let index = 0; index < 60; index += 1) writeSync(holes, "x", index * 64 * 1024);
    closeSync(holes);
    const tar = gnuTar(["-C", from, ...flags, "-cf", "-", "."]);

    await client.writeTree(writeTreeMessages({ path: to, keepOwners: true }, tar));

    const expected = inventory(from);
    const actual = inventory(to);
    // This format has whole seconds.
    if (format !== "posix") for (const all of [expected, actual]) roundTimes(all);
    expect(actual).toEqual(expected);
  });

  test("belongs to the caller unless owners are kept", async ({ agent, user }) => {
    const from = `${agent.directory}/from`;
    makeTree(agent.directory, "from/d/file");
    const { tar } = await readTree(agent.filesystem(), from);
    const headers = { Authorization: `Basic ${btoa(`${user.name}:`)}` };
    const path = `${agent.directory}/made/to`;

    await agent.filesystem().writeTree(writeTreeMessages({ path }, tar), { headers });

    for (const one of ["", "/d", "/d/file"]) expect(lstatSync(path + one).uid).toBe(user.uid);
  });

  test("belongs to the caller with its links, and with directories that it does not name", async ({
    agent,
    user,
  }) => {
    const { directory } = agent;
    makeTree(directory, "from/a/b/file");
    symlinkSync("file", `${directory}/from/a/b/link`);
    const tar = gnuTar(["-C", `${directory}/from`, "-cf", "-", "a/b/file", "a/b/link"]);
    const headers = { Authorization: `Basic ${btoa(`${user.name}:`)}` };
    const path = `${directory}/to`;

    await agent.filesystem().writeTree(writeTreeMessages({ path }, tar), { headers });

    for (const one of ["/a", "/a/b", "/a/b/link"]) {
      expect(lstatSync(path + one)).toMatchObject({ uid: user.uid, gid: user.gid });
    }
  });
});

function roundTimes(all: Record<string, unknown>): void {
  for (const entry of Object.values(all) as { modifiedNs: bigint }[]) {
    entry.modifiedNs = BigInt(Math.floor(Number(entry.modifiedNs / 1_000_000n) / 1_000));
  }
}

describe("a tree of many small files", () => {
  test("is whole, and every byte is counted", async ({ agent }) => {
    const client = agent.filesystem("h2-proto");
    const [from, to] = [`${agent.directory}/from`, `${agent.directory}/to`];
    const count = process.env["THAW_LONG"] === "1" ? 10_000 : 500;
    let bytes = 0;
    for (let index = 0; index < count; index += 1) {
      const directory = `${from}/${index % 7}`;
      const content = randomBytes((index * 37) % 5_000);
      mkdirSync(directory, { recursive: true });
      writeFileSync(`${directory}/${index}`, content);
      bytes += content.length;
    }

    const { tar, end } = await readTree(client, from);
    const written = await client.writeTree(writeTreeMessages({ path: to, keepOwners: true }, tar));

    expect(inventory(to)).toEqual(inventory(from));
    expect(written).toMatchObject({ entries: end?.entries, bytes: BigInt(bytes) });
  });

  test("of which one comes twice is as its last entry says", async ({ agent }) => {
    const from = `${agent.directory}/from`;
    const to = `${agent.directory}/to`;
    makeTree(agent.directory, "from/a", "from/b");
    const streams: Buffer[] = [];
    for (let round = 0; round < 20; round += 1) {
      writeFileSync(`${from}/a`, `round ${round}`);
      streams.push((await readTree(agent.filesystem(), `${from}/a`)).tar.subarray(0, -1024));
    }
    const tar = Buffer.concat([...streams, Buffer.alloc(1024)]);

    await agent.filesystem().writeTree(writeTreeMessages({ path: to }, tar));

    expect(readFileSync(`${to}/a`, "utf8")).toBe("round 19");
  });
});

describe("ReadTree", () => {
  test("sends a single file", async ({ agent }) => {
    writeFileSync(`${agent.directory}/file`, "abc");

    const { tar, end } = await readTree(agent.filesystem(), `${agent.directory}/file`);

    expect(gnuTar(["-tf", "-"], tar).toString()).toBe("file\n");
    expect(end?.entries).toBe(1n);
  });

  test("sends only what was asked for, with all below it", async ({ agent }) => {
    makeTree(agent.directory, "d/a/b/file", "d/a/other", "d/c", "d/e");

    const { tar, end } = await readTree(agent.filesystem(), `${agent.directory}/d`, [
      "a/b",
      "e",
      "not-there",
    ]);

    expect(gnuTar(["-tf", "-"], tar).toString()).toBe("a/b/\na/b/file\ne\n");
    expect(end?.skipped).toEqual(["not-there: it is not there"]);
  });

  test.for(["/etc", "../x", "a/../../x", "link/passwd"])(
    "refuses to include what leads out of the directory: %s",
    async (path, { agent }) => {
      makeTree(agent.directory, "d/a/");
      symlinkSync("/etc", `${agent.directory}/d/link`);

      const reading = readTree(agent.filesystem(), `${agent.directory}/d`, [path]);

      expect((await failureOf(reading)).code).toBe(Code.InvalidArgument);
    },
  );

  test("tells what it cannot send", async ({ agent }) => {
    mkdirSync(`${agent.directory}/d`);
    const socket = createServer();
    await new Promise<void>((resolve) => {
      socket.listen(`${agent.directory}/d/socket`, resolve);
    });

    const { end } = await readTree(agent.filesystem(), `${agent.directory}/d`);
    socket.close();

    expect(end?.skipped).toEqual(["socket: it is neither a file, a directory nor a link"]);
  });

  test("fills a file with zeros that becomes shorter meanwhile, and tells that", {
    timeout: 60_000,
  }, async ({ agent }) => {
    mkdirSync(`${agent.directory}/d`);
    const file = `${agent.directory}/d/file`;
    const bytes = 32 * MIB;
    writeFileSync(file, Buffer.alloc(bytes, "a"));
    const chunks: Uint8Array[] = [];
    let skipped: string[] = [];

    const path = `${agent.directory}/d`;
    for await (const { event } of agent.filesystem("h2-proto").readTree({ path })) {
      if (chunks.length === 0) truncateSync(file, 1);
      if (event.case === "chunk") chunks.push(event.value);
      if (event.case === "end") ({ skipped } = event.value);
    }

    const content = gnuTar(["-xOf", "-", "file"], Buffer.concat(chunks));
    const kept = content.indexOf(0);
    expect(skipped).toEqual(["file: it became shorter while it was read"]);
    expect(content.length).toBe(bytes);
    expect(kept).toBeGreaterThan(0);
    expect(content.subarray(0, kept).equals(Buffer.alloc(kept, "a"))).toBe(true);
    expect(content.subarray(kept).equals(Buffer.alloc(bytes - kept))).toBe(true);
  });

  test("leaves nothing open when its caller leaves", async ({ agent }) => {
    mkdirSync(`${agent.directory}/d`);
    writeFileSync(`${agent.directory}/d/file`, randomBytes(64 * MIB));
    const leave = new AbortController();
    const options = { signal: leave.signal };
    const request = { path: `${agent.directory}/d` };

    const reading = (async () => {
      for await (const _ of agent.filesystem().readTree(request, options)) leave.abort();
    })();

    expect((await failureOf(reading)).code).toBe(Code.Canceled);
    await expect.poll(() => openFilesIn(agent.directory)).toEqual([]);
  });

  test.for([
    ["nothing", "/nothing/there", Code.NotFound],
    ["a device", "/dev/null", Code.InvalidArgument],
  ] as const)("refuses %s", async ([, path, code], { agent }) => {
    expect((await failureOf(readTree(agent.filesystem(), path))).code).toBe(code);
  });
});
