import { createHash } from "node:crypto";
import {
  existsSync,
  linkSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  renameSync,
  statSync,
  symlinkSync,
  utimesSync,
  writeFileSync,
} from "node:fs";
import { array, assert, asyncProperty, nat, tuple } from "fast-check";
import { describe, expect, onTestFinished, test, vi } from "vitest";
import { OffsetError } from "../../../src/errors.ts";
import { Uploads, type UploadsOptions } from "../../../src/filesystem/uploads.ts";
import { Gauge } from "../../../src/lib/gauge.ts";
import { noAbort, users } from "../../helpers/filesystem.ts";
import { openFilesIn, scratchDirectory } from "../../helpers/scratch.ts";

const root = users.find("root");
if (root === undefined) throw new Error("there is no root");
const user = root;

const planOf = (path: string) => ({ path, bytes: undefined, attributes: {}, user });

/** Uploads that are closed with the scope. */
function createUploads(options: Partial<UploadsOptions> = {}) {
  const uploads = new Uploads({ names: users, inFlight: new Gauge(), ...options });
  return Object.assign(uploads, { [Symbol.asyncDispose]: () => uploads.close() });
}

/** Begins an upload to `name` in `directory` with these bytes. */
async function begin(uploads: Uploads, directory: string, name: string, text: string) {
  await uploads.begin(name, planOf(`${directory}/${name}`), noAbort);
  await uploads.write(name, { offset: 0, bytes: Buffer.from(text) }, noAbort);
}

describe("an unfinished upload", () => {
  test("is removed when nobody has touched it for its time, and holds no file open", async () => {
    using scratch = scratchDirectory();
    await using uploads = createUploads({ awayMs: 50 });
    await begin(uploads, scratch.path, "f", "abc");

    expect(openFilesIn(scratch.path)).toEqual([]);
    expect(readdirSync(scratch.path)).toEqual([".thaw-upload-f"]);
    await vi.waitFor(() => expect(readdirSync(scratch.path)).toEqual([]));
    await expect(
      uploads.write("f", { offset: 3, bytes: Buffer.from("d") }, noAbort),
    ).rejects.toMatchObject({ code: "not-found" });
  });

  test("stays for an hour after the last call, and as long as somebody is at it", async () => {
    vi.useFakeTimers({ toFake: ["setTimeout", "clearTimeout"] });
    onTestFinished(() => void vi.useRealTimers());
    using scratch = scratchDirectory();
    await using uploads = createUploads();
    await begin(uploads, scratch.path, "f", "abc");
    const held = uploads.hold("f");

    vi.advanceTimersByTime(2 * 3_600_000);
    await held[Symbol.asyncDispose]();
    vi.advanceTimersByTime(3_599_999);
    expect(await uploads.begin("f", planOf(`${scratch.path}/f`), noAbort)).toBe(3);
    vi.advanceTimersByTime(3_600_000);

    expect(await uploads.begin("f", planOf(`${scratch.path}/f`), noAbort)).toBe(0);
  });

  test("is refused when there are too many, until one is gone", async () => {
    using scratch = scratchDirectory();
    await using uploads = createUploads({ mostUploads: 2 });
    await begin(uploads, scratch.path, "one", "1");
    await begin(uploads, scratch.path, "two", "2");

    await expect(begin(uploads, scratch.path, "three", "3")).rejects.toMatchObject({
      code: "exhausted",
    });
    await uploads.cancel("one", noAbort);
    await begin(uploads, scratch.path, "three", "3");
  });

  test("is removed when the agent closes", async () => {
    using scratch = scratchDirectory();
    const uploads = createUploads();
    await begin(uploads, scratch.path, "f", "abc");

    await uploads.close();

    expect(readdirSync(scratch.path)).toEqual([]);
  });

  test("of a life that was killed is gone on with, checksum and all", async () => {
    using scratch = scratchDirectory();
    const before = createUploads();
    await begin(before, scratch.path, "f", "abc");
    await using uploads = createUploads();

    const arrived = await uploads.begin("f", planOf(`${scratch.path}/f`), noAbort);
    await uploads.write("f", { offset: 3, bytes: Buffer.from("def") }, noAbort);
    const sha256 = createHash("sha256").update("abcdef").digest();
    const committed = await uploads.commit("f", { bytes: 6, sha256 }, noAbort);

    expect(arrived).toBe(3);
    expect(committed.sha256.equals(sha256)).toBe(true);
    expect(readFileSync(`${scratch.path}/f`, "utf8")).toBe("abcdef");
    await before.close();
    expect(readdirSync(scratch.path)).toEqual(["f"]);
  });

  test("of a life that was killed long ago is removed by the next in its directory", async () => {
    using scratch = scratchDirectory();
    for (const name of ["old", "young"]) writeFileSync(`${scratch.path}/.thaw-upload-${name}`, "");
    utimesSync(`${scratch.path}/.thaw-upload-old`, 1, 1);
    await using uploads = createUploads();

    await begin(uploads, scratch.path, "f", "abc");

    expect(readdirSync(scratch.path).toSorted()).toEqual([".thaw-upload-f", ".thaw-upload-young"]);
  });

  test("of a life that was killed long ago is gone on with by who knows it", async () => {
    using scratch = scratchDirectory();
    const staged = `${scratch.path}/.thaw-upload-f`;
    writeFileSync(staged, "abc", { mode: 0o600 });
    utimesSync(staged, 1, 1);
    await using uploads = createUploads();

    const arrived = await uploads.begin("f", planOf(`${scratch.path}/f`), noAbort);
    await uploads.commit("f", { bytes: 3, sha256: undefined }, noAbort);

    expect(arrived).toBe(3);
    expect(readFileSync(`${scratch.path}/f`, "utf8")).toBe("abc");
  });

  test.for(["is another name of a file", "others can read"])(
    "goes on with nothing that %s",
    async (what) => {
      using scratch = scratchDirectory();
      const staged = `${scratch.path}/.thaw-upload-f`;
      const isLink = what.startsWith("is another");
      writeFileSync(`${scratch.path}/victim`, "abc", { mode: isLink ? 0o600 : 0o644 });
      if (isLink) linkSync(`${scratch.path}/victim`, staged);
      else renameSync(`${scratch.path}/victim`, staged);
      await using uploads = createUploads();

      expect(await uploads.begin("f", planOf(`${scratch.path}/f`), noAbort)).toBe(0);

      if (isLink) expect(readFileSync(`${scratch.path}/victim`, "utf8")).toBe("abc");
    },
  );

  test("that is cancelled leaves what somebody else has put in its place", async () => {
    using scratch = scratchDirectory();
    await using uploads = createUploads();
    await begin(uploads, scratch.path, "f", "abc");
    // As long as the old one is there its number is not given again.
    renameSync(`${scratch.path}/.thaw-upload-f`, `${scratch.path}/moved`);
    writeFileSync(`${scratch.path}/.thaw-upload-f`, "not ours");

    await uploads.cancel("f", noAbort);

    expect(readFileSync(`${scratch.path}/.thaw-upload-f`, "utf8")).toBe("not ours");
  });

  test("goes into nothing that somebody else has put in its place", async () => {
    using scratch = scratchDirectory();
    mkdirSync(`${scratch.path}/d`);
    writeFileSync(`${scratch.path}/victim`, "victim", { mode: 0o600 });
    symlinkSync("../victim", `${scratch.path}/d/.thaw-upload-f`);
    await using uploads = createUploads();

    await begin(uploads, `${scratch.path}/d`, "f", "abc");
    await uploads.commit("f", { bytes: 3, sha256: undefined }, noAbort);

    expect(readFileSync(`${scratch.path}/victim`, "utf8")).toBe("victim");
    expect(readFileSync(`${scratch.path}/d/f`, "utf8")).toBe("abc");
  });

  test("whose file has vanished begins again, and says so", async () => {
    using scratch = scratchDirectory();
    await using uploads = createUploads();
    await begin(uploads, scratch.path, "f", "abc");
    writeFileSync(`${scratch.path}/.thaw-upload-f`, "");

    const late = uploads.write("f", { offset: 3, bytes: Buffer.from("d") }, noAbort);

    await expect(late).rejects.toMatchObject({ code: "out-of-range", expected: 0 });
  });
});

test("what was reserved for more than has come is given back", async () => {
  using scratch = scratchDirectory();
  await using uploads = createUploads();
  const path = `${scratch.path}/f`;
  await uploads.begin("f", { ...planOf(path), bytes: 32 * 1024 * 1024 }, noAbort);
  const reserved = statSync(`${scratch.path}/.thaw-upload-f`).blocks;
  await uploads.write("f", { offset: 0, bytes: Buffer.from("abc") }, noAbort);

  await uploads.commit("f", { bytes: 3, sha256: undefined }, noAbort);

  expect(reserved).toBe((32 * 1024 * 1024) / 512);
  expect(statSync(path).blocks).toBeLessThan(1_000);
});

test("a commit is forgotten after its time", async () => {
  using scratch = scratchDirectory();
  await using uploads = createUploads({ committedMs: 30 });
  await begin(uploads, scratch.path, "f", "abc");
  const content = { bytes: 3, sha256: undefined };
  await uploads.commit("f", content, noAbort);
  await uploads.commit("f", content, noAbort);

  await vi.waitFor(() =>
    expect(uploads.commit("f", content, noAbort)).rejects.toMatchObject({ code: "not-found" }),
  );
});

test("an upload that is begun while it is cancelled is a new one", async () => {
  using scratch = scratchDirectory();
  await using uploads = createUploads();
  await begin(uploads, scratch.path, "f", "abc");

  const cancelled = uploads.cancel("f", noAbort);
  const arrived = await uploads.begin("f", planOf(`${scratch.path}/f`), noAbort);
  await cancelled;

  expect(arrived).toBe(0);
  expect(await uploads.write("f", { offset: 0, bytes: Buffer.from("x") }, noAbort)).toBe(1);
});

test("whatever pieces are sent in whatever order, what is committed is what was sent", async () => {
  using scratch = scratchDirectory();
  await using uploads = createUploads();
  const source = Buffer.from(Array.from({ length: 4_000 }, (_, index) => index % 251));
  let round = 0;

  await assert(
    asyncProperty(array(tuple(nat(4_000), nat(1_500)), { maxLength: 20 }), async (pieces) => {
      const id = `f${round++}`;
      await uploads.begin(id, planOf(`${scratch.path}/${id}`), noAbort);
      let have = 0;
      for (const [offset, length] of pieces) {
        const bytes = source.subarray(offset, offset + length);
        const piece = { offset, bytes };
        if (offset <= have) {
          have = Math.max(have, offset + bytes.length);
          expect(await uploads.write(id, piece, noAbort)).toBe(have);
          continue;
        }
        const reason = await uploads.write(id, piece, noAbort).catch((failure: unknown) => failure);
        expect(reason).toEqual(expect.any(OffsetError));
        expect(reason).toMatchObject({ expected: have });
      }
      const early = await uploads
        .commit(id, { bytes: have + 1, sha256: undefined }, noAbort)
        .catch((failure: unknown) => failure);
      expect(early).toMatchObject({ code: "out-of-range", expected: have });
      await uploads.commit(id, { bytes: have, sha256: undefined }, noAbort);
      expect(readFileSync(`${scratch.path}/${id}`).equals(source.subarray(0, have))).toBe(true);
    }),
    { numRuns: 60 },
  );
  expect(existsSync(`${scratch.path}/.thaw-upload-f0`)).toBe(false);
});
