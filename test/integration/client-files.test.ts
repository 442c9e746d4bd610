import { createHash, randomBytes } from "node:crypto";
import {
  appendFileSync,
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  renameSync,
  statSync,
  writeFileSync,
} from "node:fs";
import { setTimeout } from "node:timers/promises";
import { describe, expect, vi } from "vitest";
import { Guest } from "../../src/client/index.ts";
import { startTestAgent, test } from "../helpers/agent.ts";
import { CUTS, CuttingProxy } from "../helpers/cutting-proxy.ts";

const MIB = 1024 * 1024;
const sha256 = (bytes: Uint8Array) => createHash("sha256").update(bytes).digest("hex");
const hex = (bytes: Uint8Array) => Buffer.from(bytes).toString("hex");

/** Cuts whenever so much more has been carried. */
function cutEvery(proxy: CuttingProxy, bytes: number, way: "bytesUp" | "bytesDown"): void {
  let next = bytes;
  let cuts = 0;
  proxy.onBytes = () => {
    if (proxy[way] < next) return;
    next = proxy[way] + bytes;
    proxy.cut(cuts++ % 2 === 0 ? "reset" : "half-close");
  };
}

describe.for(["1.1", "2"] as const)("a file over HTTP/%s", (httpVersion) => {
  test("is uploaded, and goes on when it is cut off", async ({ agent }) => {
    await using proxy = await CuttingProxy.start(agent.port);
    using guest = new Guest(proxy.url, { httpVersion });
    const content = randomBytes(12 * MIB + 5);
    writeFileSync(`${agent.directory}/source`, content);
    const seen: number[] = [];
    cutEvery(proxy, 2 * MIB, "bytesUp");

    const { bytes, sha256: sum } = await guest.files.upload(
      `${agent.directory}/source`,
      `${agent.directory}/target`,
      { mode: 0o640, onProgress: (done, total) => seen.push(done / (total ?? Number.NaN)) },
    );

    expect(proxy.taken, "it was cut").toBeGreaterThan(5);
    expect(sha256(readFileSync(`${agent.directory}/target`))).toBe(sha256(content));
    expect({ bytes, sum: hex(sum) }).toEqual({ bytes: content.length, sum: sha256(content) });
    expect(statSync(`${agent.directory}/target`).mode & 0o777).toBe(0o640);
    expect(seen.at(-1)).toBe(1);
  });

  test("is downloaded, and goes on when it is cut off", async ({ agent }) => {
    await using proxy = await CuttingProxy.start(agent.port);
    using guest = new Guest(proxy.url, { httpVersion });
    const content = randomBytes(12 * MIB + 5);
    writeFileSync(`${agent.directory}/source`, content, { mode: 0o750 });
    mkdirSync(`${agent.directory}/d`);
    const seen: number[] = [];
    cutEvery(proxy, 2 * MIB, "bytesDown");

    const { bytes, sha256: sum } = await guest.files.download(
      `${agent.directory}/source`,
      `${agent.directory}/d/target`,
      { onProgress: (done, total) => seen.push(done / total) },
    );

    expect(proxy.taken, "it was cut").toBeGreaterThan(5);
    expect(sha256(readFileSync(`${agent.directory}/d/target`))).toBe(sha256(content));
    expect({ bytes, sum: hex(sum) }).toEqual({ bytes: content.length, sum: sha256(content) });
    expect(statSync(`${agent.directory}/d/target`).mode & 0o777).toBe(0o750);
    expect(readdirSync(`${agent.directory}/d`)).toEqual(["target"]);
    expect(seen.at(-1)).toBe(1);
    expect(seen, "it never goes back").toEqual(seen.toSorted((one, other) => one - other));
  });
});

describe("an upload", () => {
  test("takes bytes, and streams that it can read again", async ({ agent }) => {
    await using proxy = await CuttingProxy.start(agent.port);
    using guest = new Guest(proxy.url);
    const content = randomBytes(4 * MIB);
    let openings = 0;
    async function* stream() {
      openings++;
      for (let at = 0; at < content.length; at += 70_000) yield content.subarray(at, at + 70_000);
    }
    await guest.files.upload(content, `${agent.directory}/bytes`);
    const cutAt = proxy.bytesUp + 1.5 * MIB;
    proxy.onBytes = () => {
      if (proxy.bytesUp < cutAt) return;
      proxy.onBytes = () => {};
      proxy.isOpen = false;
      proxy.cut("reset");
    };
    const onInterrupted = () => (proxy.isOpen = true);
    await guest.files.upload(stream, `${agent.directory}/streamed`, { onInterrupted });

    expect(readFileSync(`${agent.directory}/bytes`).equals(content)).toBe(true);
    expect(readFileSync(`${agent.directory}/streamed`).equals(content)).toBe(true);
    expect(openings, "it was cut").toBe(2);
  });

  test("of a stream that is slower than the stall time arrives whole", async () => {
    await using agent = await startTestAgent({ stallTimeoutMs: 300 });
    using guest = new Guest(agent.url);
    const content = randomBytes(600_000);
    async function* slow() {
      for (let at = 0; at < content.length; at += 150_000) {
        yield content.subarray(at, at + 150_000);
        await setTimeout(500);
      }
    }
    const onInterrupted = vi.fn<() => void>();
    const giveUpAfterMs = 10_000;

    await guest.files.upload(slow, `${agent.directory}/slow`, { onInterrupted, giveUpAfterMs });

    expect(readFileSync(`${agent.directory}/slow`).equals(content)).toBe(true);
    expect(onInterrupted).not.toHaveBeenCalled();
  });

  test("of nothing makes an empty file", async ({ agent }) => {
    using guest = new Guest(agent.url);
    await guest.files.upload(new Uint8Array(), `${agent.directory}/empty`);

    expect(statSync(`${agent.directory}/empty`).size).toBe(0);
  });

  test("that is refused says why and leaves nothing", async ({ agent }) => {
    using guest = new Guest(agent.url);
    mkdirSync(`${agent.directory}/d/taken`, { recursive: true });

    const uploading = guest.files.upload(Buffer.from("x"), `${agent.directory}/d/taken`);
    await expect(uploading).rejects.toMatchObject({ name: "GuestError", kind: "invalid" });
    const reading = guest.files.upload(`${agent.directory}/nothing`, "/tmp/never");
    await expect(reading).rejects.toMatchObject({ kind: "invalid" });
    await vi.waitFor(() => expect(readdirSync(`${agent.directory}/d`)).toEqual(["taken"]));
  });

  test("that its caller leaves is forgotten", async ({ agent }) => {
    using guest = new Guest(agent.url);
    mkdirSync(`${agent.directory}/d`);
    const leaving = new AbortController();
    const content = randomBytes(8 * MIB);
    const onProgress = (done: number) => {
      if (done > MIB) leaving.abort(new Error("enough"));
    };

    const options = { signal: leaving.signal, onProgress };
    await expect(guest.files.upload(content, `${agent.directory}/d/f`, options)).rejects.toThrow(
      "enough",
    );
    await vi.waitFor(() => expect(readdirSync(`${agent.directory}/d`)).toEqual([]));
  });

  test("of a source that changes under way is refused, and the old file stays", async ({
    agent,
  }) => {
    using guest = new Guest(agent.url);
    const source = `${agent.directory}/source`;
    writeFileSync(source, randomBytes(4 * MIB));
    writeFileSync(`${agent.directory}/target`, "old");
    const onProgress = (done: number) => {
      if (done > MIB) writeFileSync(source, "short");
    };

    const uploading = guest.files.upload(source, `${agent.directory}/target`, { onProgress });
    await expect(uploading).rejects.toMatchObject({ kind: "wrong-state" });
    expect(readFileSync(`${agent.directory}/target`, "utf8")).toBe("old");
  });
});

describe("a download", () => {
  test("goes on where an earlier run was left", async ({ agent }) => {
    await using proxy = await CuttingProxy.start(agent.port);
    using guest = new Guest(proxy.url);
    const content = randomBytes(8 * MIB);
    writeFileSync(`${agent.directory}/source`, content);
    mkdirSync(`${agent.directory}/d`);
    const leaving = new AbortController();
    const onProgress = (done: number) => {
      if (done > 5 * MIB) leaving.abort(new Error("enough"));
    };
    const target = `${agent.directory}/d/target`;
    const first = guest.files.download(`${agent.directory}/source`, target, {
      signal: leaving.signal,
      onProgress,
    });
    await expect(first).rejects.toThrow("enough");
    const [part] = readdirSync(`${agent.directory}/d`);
    const carried = proxy.bytesDown;
    await guest.files.download(`${agent.directory}/source`, target);

    expect(part).toMatch(/^\.target\.[0-9a-f]{16}\.part$/);
    expect(proxy.bytesDown - carried, "only the rest is sent").toBeLessThan(4 * MIB);
    expect(readdirSync(`${agent.directory}/d`)).toEqual(["target"]);
    expect(readFileSync(target).equals(content)).toBe(true);
  });

  test("of a file that has changed since begins anew", async ({ agent }) => {
    using guest = new Guest(agent.url);
    const source = `${agent.directory}/source`;
    writeFileSync(source, randomBytes(8 * MIB));
    mkdirSync(`${agent.directory}/d`);
    const content = randomBytes(8 * MIB);
    let hasChanged = false;
    const onProgress = (done: number) => {
      if (hasChanged || done < 3 * MIB) return;
      hasChanged = true;
      writeFileSync(`${source}.new`, content);
      renameSync(`${source}.new`, source);
      guest.dropConnections();
    };
    await guest.files.download(source, `${agent.directory}/d/target`, { onProgress });

    expect(hasChanged).toBe(true);
    expect(readFileSync(`${agent.directory}/d/target`).equals(content)).toBe(true);
    expect(readdirSync(`${agent.directory}/d`)).toEqual(["target"]);
  });

  test("that does not match its checksum is not put in its place", async ({ agent }) => {
    using guest = new Guest(agent.url);
    const source = `${agent.directory}/source`;
    writeFileSync(source, randomBytes(4 * MIB));
    mkdirSync(`${agent.directory}/d`);
    let isSpoilt = false;
    const onProgress = (done: number) => {
      if (isSpoilt || done < MIB) return;
      isSpoilt = true;
      const [part] = readdirSync(`${agent.directory}/d`);
      // What was left by a run that was killed is read again, whatever has become of it.
      writeFileSync(`${agent.directory}/spoilt`, Buffer.alloc(done));
      appendFileSync(`${agent.directory}/name`, part ?? "");
      throw new Error("killed");
    };
    const target = `${agent.directory}/d/target`;
    await guest.files.download(source, target, { onProgress }).catch(() => {});
    const part = readFileSync(`${agent.directory}/name`, "utf8");
    renameSync(`${agent.directory}/spoilt`, `${agent.directory}/d/${part}`);

    await expect(guest.files.download(source, target)).rejects.toMatchObject({ kind: "failed" });
    expect(existsSync(target)).toBe(false);
    expect(readdirSync(`${agent.directory}/d`)).toEqual([]);
  });

  test("may meet another one of the same file to the same place", async ({ agent }) => {
    using guest = new Guest(agent.url);
    using other = new Guest(agent.url);
    const content = randomBytes(24 * MIB);
    writeFileSync(`${agent.directory}/source`, content);
    mkdirSync(`${agent.directory}/d`);
    const target = `${agent.directory}/d/target`;
    let second: Promise<unknown> | undefined;
    const onProgress = (done: number) => {
      if (done > 6 * MIB) second ??= other.files.download(`${agent.directory}/source`, target);
    };
    await guest.files.download(`${agent.directory}/source`, target, { onProgress });
    await second;

    expect(second).toBeDefined();
    expect(readFileSync(target).equals(content)).toBe(true);
    expect(readdirSync(`${agent.directory}/d`)).toEqual(["target"]);
  });

  test("of nothing that is there says so", async ({ agent }) => {
    using guest = new Guest(agent.url);
    const downloading = guest.files.download(`${agent.directory}/no`, `${agent.directory}/x`);

    await expect(downloading).rejects.toMatchObject({ kind: "not-found" });
  });
});

describe("a watch", () => {
  test.for(CUTS)("goes on when it is cut off: %s", async (cut, { agent }) => {
    await using proxy = await CuttingProxy.start(agent.port);
    using guest = new Guest(proxy.url);
    const directory = `${agent.directory}/d`;
    mkdirSync(directory);
    let hasResumed = false;
    const onResumed = () => (hasResumed = true);
    const watch = await guest.files.watch(directory, { keepaliveMs: 1_000, onResumed });
    const changes = watch[Symbol.asyncIterator]();
    writeFileSync(`${directory}/one`, "");
    expect((await changes.next()).value).toEqual({ kind: "create", name: "one" });
    const next = changes.next();
    proxy.cut(cut);
    mkdirSync(`${directory}/two`);

    let change = (await next).value;
    while (change?.kind !== "create") change = (await changes.next()).value;
    expect(change).toEqual({ kind: "create", name: "two" });
    expect(hasResumed).toBe(true);
    await changes.return?.();
  });

  test("that the guest has forgotten begins anew, and says that changes were missed", async () => {
    const before = await startTestAgent();
    using guest = new Guest(before.url);
    await using place = await startTestAgent();
    const watch = await guest.files.watch(place.directory);
    const changes = watch[Symbol.asyncIterator]();
    const next = changes.next();
    await before.close(0);
    await using _after = await startTestAgent({ port: before.port });

    expect((await next).value).toEqual({ kind: "resync" });
    const following = changes.next();
    writeFileSync(`${place.directory}/one`, "");
    expect((await following).value).toEqual({ kind: "create", name: "one" });
    await changes.return?.();
  });

  test("that the guest has forgotten begins anew also when it is cut off meanwhile", async () => {
    const before = await startTestAgent();
    await using proxy = await CuttingProxy.start(before.port);
    using guest = new Guest(proxy.url);
    await using place = await startTestAgent();
    const watch = await guest.files.watch(place.directory);
    const changes = watch[Symbol.asyncIterator]();
    const next = changes.next();
    await before.close(0);
    await using _after = await startTestAgent({ port: before.port });
    // The first answer is that the watch is not known; the connection is cut with it.
    const atStart = proxy.taken;
    proxy.onBytes = () => {
      if (proxy.taken > atStart && proxy.bytesDown > 0) cutOnce();
    };
    let cuts = 0;
    const cutOnce = () => {
      if (cuts++ === 3) proxy.cut("reset");
    };

    expect((await next).value).toEqual({ kind: "resync" });
    await changes.return?.();
  });

  test("of nothing that is there says so", async ({ agent }) => {
    using guest = new Guest(agent.url);

    await expect(guest.files.watch(`${agent.directory}/no`)).rejects.toMatchObject({
      kind: "not-found",
    });
  });
});

describe("a tree", () => {
  test("is listed, and copied as a tar stream", async ({ agent }) => {
    using guest = new Guest(agent.url);
    const content = randomBytes(700_000);
    mkdirSync(`${agent.directory}/from/deep`, { recursive: true });
    writeFileSync(`${agent.directory}/from/deep/file`, content, { mode: 0o750 });
    writeFileSync(`${agent.directory}/from/left`, "not this");
    const tar = guest.files.readTree(`${agent.directory}/from`, { include: ["deep"] });
    const written = await guest.files.writeTree(`${agent.directory}/to`, tar);
    const paths = await guest.files.listTree(`${agent.directory}/to`, { withSha256: true });

    expect(written).toMatchObject({ bytes: 700_000 });
    expect(readFileSync(`${agent.directory}/to/deep/file`).equals(content)).toBe(true);
    expect(paths.map(({ path, kind, mode, size }) => ({ path, kind, mode, size }))).toEqual([
      { path: "deep", kind: "directory", mode: 0o755, size: expect.any(Number) },
      { path: "deep/file", kind: "file", mode: 0o750, size: 700_000 },
    ]);
    expect(hex(paths[1]?.sha256 ?? Buffer.alloc(0))).toBe(sha256(content));
  });

  test("whose tar stream is cut off says so", async ({ agent }) => {
    await using proxy = await CuttingProxy.start(agent.port);
    using guest = new Guest(proxy.url);
    mkdirSync(`${agent.directory}/from`);
    writeFileSync(`${agent.directory}/from/file`, Buffer.alloc(24 * MIB));
    const reading = async () => {
      for await (const _ of guest.files.readTree(`${agent.directory}/from`))
        proxy.cut("half-close");
    };

    await expect(reading()).rejects.toMatchObject({ name: "GuestError" });
  });

  test("is not there says so", async ({ agent }) => {
    using guest = new Guest(agent.url);

    await expect(guest.files.listTree(`${agent.directory}/no`)).rejects.toMatchObject({
      kind: "not-found",
    });
    const reading = guest.files.readTree(`${agent.directory}/no`).next();
    await expect(reading).rejects.toMatchObject({ kind: "not-found" });
  });
});

test("directories are made and moved", async ({ agent }) => {
  using guest = new Guest(agent.url);
  await guest.files.makeDir(`${agent.directory}/a/b`);
  await guest.files.move(`${agent.directory}/a`, `${agent.directory}/c`);

  expect(statSync(`${agent.directory}/c/b`).isDirectory()).toBe(true);
  await expect(guest.files.makeDir(`${agent.directory}/c`)).rejects.toMatchObject({
    kind: "already-exists",
  });
});
