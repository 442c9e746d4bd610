import { execFileSync } from "node:child_process";
import { mkdirSync, readdirSync, readFileSync, statSync, writeFileSync } from "node:fs";
import { gzipSync } from "node:zlib";
import { describe, expect } from "vitest";
import { test } from "../helpers/agent.ts";
import { watchDirectory } from "../helpers/inotify.ts";
import {
  type Answer,
  ask,
  filesPath,
  form,
  type HttpVersion,
  httpVersions,
} from "../helpers/requests.ts";
import { smallFilesystem } from "../helpers/scratch.ts";

const RAW = { "content-type": "application/octet-stream" };
const FORM = { "content-type": "multipart/form-data; boundary=XX" };

interface Upload {
  query?: Record<string, string>;
  headers?: Record<string, string | string[]>;
  body: string | Uint8Array;
}

/** Posts to `/files`. */
function upload(
  version: HttpVersion,
  url: string,
  { query = {}, headers = RAW, body }: Upload,
): Promise<Answer> {
  return ask(version, url, { method: "POST", path: filesPath(query), headers, body });
}

/** One part of a form. */
function filePart(filename: string, body: string | Uint8Array) {
  return { head: `Content-Disposition: form-data; name="file"; filename="${filename}"`, body };
}

describe.for(httpVersions)("over %s, an upload", (version) => {
  test("of a raw body makes the file and says so", async ({ agent }) => {
    const path = `${agent.directory}/a/f.bin`;

    const answer = await upload(version, agent.url, { query: { path }, body: "hello" });

    expect(answer.status).toBe(200);
    expect(answer.headers).toMatchObject({
      "content-type": "application/json",
      "cache-control": "no-store",
    });
    expect(JSON.parse(answer.text)).toEqual([{ path, name: "f.bin", type: "file" }]);
    expect(readFileSync(path, "utf8")).toBe("hello");
    expect(statSync(path).mode).toBe(0o100644);
  });

  test("belongs to the user that was named, from whose home its path begins", async ({
    agent,
    user,
  }) => {
    const query = { path: `up-${version}/f`, username: user.name };

    const answer = await upload(version, agent.url, { query, body: "x" });

    try {
      const path = `${user.home}/up-${version}/f`;
      expect(JSON.parse(answer.text)).toMatchObject([{ path }]);
      expect(statSync(path)).toMatchObject({ uid: user.uid, gid: user.gid });
      expect(statSync(`${user.home}/up-${version}`)).toMatchObject({
        uid: user.uid,
        gid: user.gid,
      });
    } finally {
      execFileSync("rm", ["-r", `${user.home}/up-${version}`]);
    }
  });

  test("of nothing makes an empty file", async ({ agent }) => {
    const answer = await upload(version, agent.url, {
      query: { path: `${agent.directory}/f` },
      body: "",
    });

    expect(answer.status).toBe(200);
    expect(statSync(`${agent.directory}/f`).size).toBe(0);
  });

  test("keeps metadata, and replaces all of it", async ({ agent }) => {
    const path = `${agent.directory}/f`;
    const first = { ...RAW, "X-Metadata-Color": "blue", "x-metadata-Size": "L" };

    const one = await upload(version, agent.url, { query: { path }, headers: first, body: "x" });
    const two = await upload(version, agent.url, {
      query: { path },
      headers: { ...RAW, "x-metadata-a": "b c" },
      body: "x",
    });
    const three = await upload(version, agent.url, { query: { path }, body: "x" });

    expect(JSON.parse(one.text)).toMatchObject([{ metadata: { color: "blue", size: "L" } }]);
    expect(JSON.parse(two.text)[0].metadata).toEqual({ a: "b c" });
    expect(JSON.parse(three.text)[0]).not.toHaveProperty("metadata");
  });

  test("of a packed body is unpacked, raw or a form", async ({ agent }) => {
    const at = agent.directory;
    const packed = { "content-encoding": "gzip" };
    const body = Buffer.concat([gzipSync("hello "), gzipSync("again")]);

    await upload(version, agent.url, {
      query: { path: `${at}/raw` },
      headers: { ...RAW, ...packed },
      body,
    });
    await upload(version, agent.url, {
      headers: { ...FORM, ...packed },
      body: gzipSync(form("XX", [filePart(`${at}/form`, "hi")])),
    });

    expect(readFileSync(`${at}/raw`, "utf8")).toBe("hello again");
    expect(readFileSync(`${at}/form`, "utf8")).toBe("hi");
  });

  test("shows to those who watch as exactly three events", async ({ agent }) => {
    const at = `${agent.directory}/watched`;
    mkdirSync(at);
    using watch = watchDirectory(at);

    await upload(version, agent.url, {
      query: { path: `${at}/raw` },
      body: "x".repeat(500_000),
    });
    const raw = watch.events();
    await upload(version, agent.url, {
      headers: FORM,
      body: form("XX", [filePart(`${at}/form`, "x".repeat(500_000))]),
    });

    expect(raw).toEqual(["CREATE raw", "CHMOD raw", "WRITE raw"]);
    expect(watch.events()).toEqual(["CREATE form", "CHMOD form", "WRITE form"]);
  });

  test("to a full disk is a 507, and leaves what was there", async ({ agent }) => {
    using small = smallFilesystem("size=1m,nr_inodes=3");
    const old = `${small.path}/old`;
    writeFileSync(old, "old");
    const body = Buffer.alloc(3_000_000);
    const words = `attempted to write ${body.length} bytes: not enough disk space available`;
    const headers = { ...RAW, "content-length": String(body.length) };

    for (const path of [old, `${small.path}/new`]) {
      const answer = await upload(version, agent.url, { query: { path }, headers, body });

      expect(JSON.parse(answer.text)).toEqual({ code: 507, message: words });
    }
    expect(readdirSync(small.path)).toEqual(["old"]);
    expect(readFileSync(old, "utf8")).toBe("old");

    writeFileSync(`${small.path}/last`, "");
    const answer = await upload(version, agent.url, {
      query: { path: `${small.path}/new` },
      body: "x",
    });

    expect(answer.status).toBe(507);
    expect(JSON.parse(answer.text).message).toMatch(/^not enough inodes available: /);
  });
});

test("a packed body that is a thousand times larger does not fill the memory", async ({
  agent,
}) => {
  const packed = gzipSync(Buffer.alloc(64 * 1024 * 1024), { level: 9 });
  const body = Buffer.concat(Array.from({ length: 4 }, () => packed));
  const before = process.memoryUsage.rss();

  const answer = await upload("h1", agent.url, {
    query: { path: `${agent.directory}/bomb` },
    headers: { ...RAW, "content-encoding": "gzip" },
    body,
  });

  expect(answer.status).toBe(200);
  expect(statSync(`${agent.directory}/bomb`).size).toBe(256 * 1024 * 1024);
  expect(process.memoryUsage.rss() - before).toBeLessThan(128 * 1024 * 1024);
});

test("many small files arrive at once, raw and in forms", async ({ agent }) => {
  const jobs = Array.from({ length: 150 }, async (_, index) => {
    const path = `${agent.directory}/many/${index}`;
    const body = new FormData();
    body.set("file", new Blob([path]), path);
    const isForm = index % 2 === 0;
    const init = isForm ? { body } : { body: path, headers: RAW };
    const answer = await fetch(agent.url + filesPath(isForm ? {} : { path }), {
      method: "POST",
      ...init,
    });
    expect(await answer.json()).toEqual([{ path, name: String(index), type: "file" }]);
    expect(readFileSync(path, "utf8")).toBe(path);
  });

  await Promise.all(jobs);
});
