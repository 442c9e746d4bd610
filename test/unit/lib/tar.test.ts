import {
  array,
  assert,
  asyncProperty,
  bigInt,
  constantFrom,
  nat,
  record,
  string,
} from "fast-check";
import { describe, expect, test } from "vitest";
import { ByteReader } from "../../../src/lib/byte-reader.ts";
import { decodeHeader, encodeHeader, TarError } from "../../../src/lib/tar-header.ts";
import { decodePax, encodePax, fromPaxTime, paxTime } from "../../../src/lib/tar-pax.ts";
import { readTar, type TarEntry } from "../../../src/lib/tar-reader.ts";
import { encodeSparseMap, padding, readSparseMap } from "../../../src/lib/tar-sparse.ts";
import { END_OF_TAR, encodeEntryHead, type TarEntryHead } from "../../../src/lib/tar-writer.ts";

/** The same bytes in pieces of this length. */
async function* pieces(bytes: Buffer, length: number): AsyncGenerator<Uint8Array> {
  for (let at = 0; at < bytes.length; at += length) yield bytes.subarray(at, at + length);
}

async function readAll(tar: Buffer, length = 700): Promise<(TarEntry & { content: Buffer })[]> {
  const entries = [];
  for await (const entry of readTar(new ByteReader(pieces(tar, length)))) {
    const content: Buffer[] = [];
    for await (const piece of entry.body()) content.push(piece);
    entries.push({ ...entry, content: Buffer.concat(content) });
  }
  return entries;
}

const plain: TarEntryHead = {
  path: "file",
  type: "file",
  mode: 0o644,
  uid: 0,
  gid: 0,
  modifiedNs: 0n,
  bytes: 0,
};

/** A path of bytes, each a character, that a tar stream can say. */
const bytePath = string({
  unit: constantFrom("a", "é", "ÿ", "/", "\n", " ", "=", "\u0080"),
  minLength: 1,
  maxLength: 300,
}).map((text) => `p${text.replace(/\/+$/, "")}`);

test("every entry that is written is read as it was, in pieces of any length", async () => {
  const entry = record({
    path: bytePath,
    mode: nat(0o7777),
    uid: nat(2 ** 31 - 1),
    gid: nat(2 ** 31 - 1),
    modifiedNs: bigInt({ min: -(10n ** 18n), max: 10n ** 20n }),
    content: string({ maxLength: 2_000 }).map((text) => Buffer.from(text)),
  });
  await assert(
    asyncProperty(array(entry, { maxLength: 4 }), nat(999), async (entries, length) => {
      const tar = Buffer.concat([
        ...entries.flatMap(({ content, ...head }) => [
          encodeEntryHead({ ...plain, ...head, bytes: content.length }),
          content,
          Buffer.alloc(padding(content.length)),
        ]),
        END_OF_TAR,
      ]);

      const read = await readAll(tar, length + 1);

      expect(read).toMatchObject(entries);
    }),
    { numRuns: 100 },
  );
});

describe("a time", () => {
  test.for([
    [0n, "0"],
    [1n, "0.000000001"],
    [-1n, "-0.000000001"],
    [1_500_000_000n, "1.5"],
    [-5_500_000_000n, "-5.5"],
  ] as const)("of %s ns is %s, both ways", ([ns, text]) => {
    expect(paxTime(ns)).toBe(text);
    expect(fromPaxTime(text)).toBe(ns);
  });

  test("may be finer than it can be kept", () => {
    expect(fromPaxTime("1.1234567899")).toBe(1_123_456_789n);
  });
});

test("records tell their own length, also where that gets another digit", () => {
  for (let length = 0; length < 1_200; length += 1) {
    const records = new Map([["path", "x".repeat(length)]]);

    expect(decodePax(encodePax(records))).toEqual(records);
  }
});

test("records that nobody reads are not kept, however many a stream has", () => {
  const records = new Map([
    ["comment", "x"],
    ["path", "y"],
    ["SCHILY.xattr.user.a", "z"],
  ]);

  expect(decodePax(encodePax(records))).toEqual(new Map([["path", "y"]]));
});

test("a stream of headers alone leaves others their turn", async () => {
  const header = { ...plain, name: "x", size: 0, modifiedS: 0, type: "x", linkName: "" };
  const block = encodeHeader(header);
  const tar = Buffer.concat([...Array.from({ length: 5_000 }, () => block), END_OF_TAR]);
  let turns = 0;
  const counting = setInterval(() => {
    turns += 1;
  }, 0);

  expect(await readAll(tar, tar.length)).toEqual([]);

  clearInterval(counting);
  expect(turns).toBeGreaterThan(2);
});

test("a map of a sparse file is read as it was written, however long it is", async () => {
  for (const count of [0, 1, 50, 1_000]) {
    const segments = Array.from({ length: count }, (_, index) => ({
      offset: index * 1_000_000,
      bytes: 10,
    }));
    const size = count * 1_000_000 + 5;
    const map = encodeSparseMap(segments, size);

    const read = await readSparseMap(new ByteReader(pieces(map, 300)));

    expect(read.segments).toEqual([...segments, { offset: size, bytes: 0 }]);
    expect(read.mapBytes).toBe(map.length);
  }
});

describe("a stream that is none", () => {
  const header = { ...plain, name: "x", size: 0, modifiedS: 0, type: "0", linkName: "" };
  const extended = (text: string) =>
    Buffer.concat([
      encodeHeader({ ...header, type: "x", size: text.length }),
      Buffer.from(text),
      Buffer.alloc(padding(text.length)),
      encodeHeader(header),
    ]);
  test.for([
    ["a wrong checksum", Buffer.concat([encodeHeader(header).fill(65, 0, 3), END_OF_TAR])],
    ["half a header", encodeHeader(header).subarray(0, 100)],
    ["an entry without its bytes", encodeHeader({ ...header, size: 100 })],
    ["a record that is none", extended("nothing like it")],
    ["a record longer than its header", extended("99 a=b\n")],
    ["a size that is none", extended("13 size=-10\n\n")],
    ["an extended header of gigabytes", encodeHeader({ ...header, type: "x", size: 2 ** 32 })],
    ["a header of very many records", extended("6 a=b\n".repeat(2_000))],
    ["a sparse file in an older format", extended("27 GNU.sparse.map=0,1,2,3,4\n")],
  ] as const)("fails as such: %s", async ([, tar]) => {
    await expect(readAll(tar)).rejects.toThrow(TarError);
  });

  test("whatever bytes they are, they fail as such or are read", async () => {
    await assert(
      asyncProperty(array(nat(255), { maxLength: 600 }), nat(511), async (bytes, at) => {
        const block = encodeHeader({ ...header, size: 10 });
        block.set(bytes.slice(0, 20), Math.min(at, 490));
        // With a checksum that is right, so that what is behind it is tried.
        let sum = 8 * 0x20;
        for (const [index, byte] of block.entries()) if (index < 148 || index >= 156) sum += byte;
        block.write(`${sum.toString(8).padStart(6, "0")}\0 `, 148, "latin1");

        const failure = await readAll(Buffer.concat([block, Buffer.from(bytes)])).then(
          () => undefined,
          (reason: unknown) => reason,
        );

        if (failure !== undefined) expect(failure).toBeInstanceOf(TarError);
      }),
      { numRuns: 300 },
    );
  });
});

test("the end of a stream is known by its zeros", () => {
  expect(decodeHeader(END_OF_TAR.subarray(0, 512))).toBeUndefined();
});
