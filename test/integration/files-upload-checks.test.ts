import { execFileSync } from "node:child_process";
import { randomBytes } from "node:crypto";
import { once } from "node:events";
import { existsSync, mkdirSync, statSync, symlinkSync, writeFileSync } from "node:fs";
import { createServer } from "node:net";
import { gzipSync } from "node:zlib";
import { describe, expect } from "vitest";
import { startTestAgent, test } from "../helpers/agent.ts";
import {
  type Answer,
  ask,
  filesPath,
  form,
  type HttpVersion,
  httpVersions,
} from "../helpers/requests.ts";

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
  describe("is refused:", () => {
    test.for<[string, Upload, number, string | RegExp]>([
      [
        "a raw body without a path",
        { body: "x" },
        400,
        "path query parameter is required for raw body upload",
      ],
      [
        "another type",
        { query: { path: "%D/f" }, headers: { "content-type": "Text/Plain; x=y" }, body: "x" },
        400,
        "unsupported content type: Text/Plain; x=y, expected multipart/form-data or application/octet-stream",
      ],
      [
        "no type",
        { query: { path: "%D/f" }, headers: {}, body: "x" },
        400,
        "unsupported content type: , expected multipart/form-data or application/octet-stream",
      ],
      [
        "an unknown packing",
        { query: { path: "%D/f" }, headers: { ...RAW, "content-encoding": "br" }, body: "x" },
        400,
        "error decompressing request body: unsupported Content-Encoding: br, supported: [gzip]",
      ],
      [
        "a body that is not packed",
        { query: { path: "%D/f" }, headers: { ...RAW, "content-encoding": "gzip" }, body: "hello" },
        400,
        /^error decompressing request body: /,
      ],
      [
        "an empty packed body",
        { query: { path: "%D/f" }, headers: { ...RAW, "content-encoding": "gzip" }, body: "" },
        400,
        /^error decompressing request body: /,
      ],
      [
        "a cut packed body",
        {
          query: { path: "%D/f" },
          headers: { ...RAW, "content-encoding": "gzip" },
          body: gzipSync(randomBytes(100_000)).subarray(0, 50_000),
        },
        400,
        /^error decompressing request body: /,
      ],
      [
        "a damaged packed form",
        {
          headers: { ...FORM, "content-encoding": "gzip" },
          body: Buffer.concat([
            gzipSync(form("XX", [filePart("%D/f", randomBytes(50_000))])).subarray(0, 20_000),
            Buffer.alloc(20_000),
          ]),
        },
        400,
        /^error decompressing request body: /,
      ],
      [
        "an unknown user",
        { query: { path: "%D/f", username: "ghost" }, body: "x" },
        401,
        "error looking up user 'ghost': user: unknown user ghost",
      ],
      [
        "metadata that is no ASCII",
        { query: { path: "%D/f" }, headers: { ...RAW, "x-metadata-a": "\u00e4" }, body: "x" },
        400,
        /^invalid metadata: /,
      ],
      [
        "too much metadata",
        {
          query: { path: "%D/f" },
          headers: { ...RAW, "x-metadata-a": "v".repeat(4096) },
          body: "x",
        },
        400,
        /^invalid metadata: /,
      ],
      [
        "a path that leads nowhere",
        { query: { path: "~x/f" }, body: "x" },
        400,
        /^error resolving path: failed to expand path/,
      ],
      [
        "a NUL in the path",
        { query: { path: "%D/f\0g" }, body: "x" },
        400,
        /^error resolving path: /,
      ],
      ["a directory", { query: { path: "%D/d" }, body: "x" }, 400, "path is a directory: %D/d"],
      ["an empty path", { query: { path: "" }, body: "x" }, 400, /^path is a directory: /],
      [
        "a named pipe",
        { query: { path: "%D/fifo" }, body: "x" },
        400,
        "path is a named pipe: %D/fifo",
      ],
      ["a socket", { query: { path: "%D/socket" }, body: "x" }, 400, "path is a socket: %D/socket"],
      [
        "a device",
        { query: { path: "/dev/null" }, body: "x" },
        400,
        "path is a character device: /dev/null",
      ],
      [
        "a parent that is a file",
        { query: { path: "%D/file/f" }, body: "x" },
        500,
        "error ensuring directories: path is a file: %D/file",
      ],
      [
        "a name too long",
        { query: { path: `%D/${"n".repeat(300)}` }, body: "x" },
        500,
        /^error opening file: ENAMETOOLONG/,
      ],
      [
        "a loop of links",
        { query: { path: "%D/loop" }, body: "x" },
        500,
        /^error opening file: ELOOP/,
      ],
      [
        "a form without a boundary",
        { headers: { "content-type": "multipart/form-data" }, body: "x" },
        500,
        /^error parsing multipart form: /,
      ],
      [
        "a form with a boundary that is too long",
        {
          headers: { "content-type": `multipart/form-data; boundary=${"X".repeat(251)}` },
          body: form("X".repeat(251), [filePart("%D/f", "x")]),
        },
        500,
        /^error parsing multipart form: the boundary is longer than 250 bytes/,
      ],
      ["no form", { headers: FORM, body: "hello" }, 500, /^error reading form: /],
      ["an empty form", { headers: FORM, body: "" }, 500, /^error reading form: /],
      [
        "a part without an end to its head",
        { headers: FORM, body: "--XX\r\nContent-Disposition: form-data\r\n--XX--\r\n" },
        500,
        /^error reading form: /,
      ],
      [
        "a form without a last boundary",
        { headers: FORM, body: form("XX", [filePart("%D/f", "x")]).subarray(0, -8) },
        500,
        /^error reading form: /,
      ],
      [
        "a part without a name",
        {
          headers: FORM,
          body: form("XX", [{ head: 'Content-Disposition: form-data; name="file"', body: "x" }]),
        },
        400,
        /filename not found/,
      ],
      [
        "a part with an empty name",
        { headers: FORM, body: form("XX", [filePart("", "x")]) },
        400,
        /filename not found/,
      ],
      [
        "a part for a directory",
        { headers: FORM, body: form("XX", [filePart("%D/d", "x")]) },
        400,
        "path is a directory: %D/d",
      ],
    ])("%s", async ([, request, status, message], { agent }) => {
      const at = (text: string) => text.replaceAll("%D", agent.directory);
      mkdirSync(at("%D/d"));
      writeFileSync(at("%D/file"), "");
      symlinkSync("loop", at("%D/loop"));
      execFileSync("mkfifo", [at("%D/fifo")]);
      const socket = createServer().listen(at("%D/socket"));
      await once(socket, "listening");
      const query = Object.fromEntries(
        Object.entries(request.query ?? {}).map(([key, value]) => [key, at(value)]),
      );
      // latin1 keeps every byte of a body that is no text.
      const isPacked = request.headers !== undefined && "content-encoding" in request.headers;
      const body = isPacked
        ? request.body
        : Buffer.from(at(Buffer.from(request.body as string).toString("latin1")), "latin1");

      const answer = await upload(version, agent.url, { ...request, query, body });
      socket.close();

      expect(JSON.parse(answer.text)).toEqual({
        code: status,
        message: typeof message === "string" ? at(message) : expect.stringMatching(message),
      });
      expect(answer.status).toBe(status);
      expect(existsSync(at("%D/f"))).toBe(false);
      expect(statSync(at("%D/file")).size).toBe(0);
    });
  });
});

describe("the order of the checks", () => {
  test.for<[string, Upload, number]>([
    [
      "the token comes before the packing",
      { query: { username: "ghost" }, headers: { "content-encoding": "br" }, body: "" },
      401,
    ],
    [
      "the packing comes before the user",
      {
        query: { username: "ghost", signature: "" },
        headers: { "content-encoding": "br", "x-access-token": "T" },
        body: "",
      },
      400,
    ],
    [
      "the user comes before the metadata",
      {
        query: { username: "ghost" },
        headers: { "x-metadata-a": "\u00e4", "x-access-token": "T" },
        body: "",
      },
      401,
    ],
    [
      "the metadata comes before the type",
      { headers: { "x-metadata-a": "\u00e4", "x-access-token": "T" }, body: "" },
      400,
    ],
  ])("%s", async ([, request, status]) => {
    await using agent = await startTestAgent({ accessToken: "T" });

    const answer = await upload("h1", agent.url, request);

    expect(answer.status).toBe(status);
    expect(answer.text).not.toContain("unsupported content type");
  });

  test("a query that cannot be read comes first of all", async () => {
    await using agent = await startTestAgent({ accessToken: "T" });

    for (const method of ["GET", "POST"]) {
      const answer = await ask("h1", agent.url, {
        method,
        path: "/files?signature_expiration=abc",
      });

      expect(answer.status).toBe(400);
      expect(answer.headers["content-type"]).toMatch(/^text\/plain/);
      expect(answer.text).toContain("signature_expiration");
    }
  });
});
