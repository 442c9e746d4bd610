import { createHash, randomBytes } from "node:crypto";
import { existsSync, readFileSync, statSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { gzipSync } from "node:zlib";
import { describe, expect } from "vitest";
import { test as base } from "../helpers/agent.ts";
import { curl } from "../helpers/curl.ts";
import { filesPath } from "../helpers/requests.ts";

const VERSIONS = ["--http1.1", "--http2-prior-knowledge"] as const;
const OCTETS = ["--header", "Content-Type: application/octet-stream"];
const CONTENT = "0123456789";

interface Place {
  /** A file in the agent's directory. */
  path(name: string): string;
  /** Where the agent serves it. */
  url(name: string): string;
}

const test = base.extend<{ place: Place }>({
  place: async ({ agent }, use) => {
    const path = (name: string) => join(agent.directory, name);
    await use({ path, url: (name) => `${agent.url}${filesPath({ path: path(name) })}` });
  },
});

describe.for(VERSIONS)("a download by curl %s", (version) => {
  test("carries the file and what there is to know about it", async ({ place }) => {
    writeFileSync(place.path("ten.txt"), CONTENT);

    const answer = await curl([version, place.url("ten.txt")]);

    expect(answer).toMatchObject({ status: 200, stdout: CONTENT });
    expect(answer.headers).toMatchObject({
      "content-length": "10",
      "content-type": "text/plain; charset=utf-8",
      "content-disposition": "inline; filename=ten.txt",
      "accept-ranges": "bytes",
      vary: "Accept-Encoding",
      "last-modified": new Date(
        Math.floor(statSync(place.path("ten.txt")).mtimeMs / 1000) * 1000,
      ).toUTCString(),
    });
    expect(answer.headers["content-encoding"]).toBeUndefined();
  });

  test.for([
    ["0-3", "0123", "bytes 0-3/10"],
    ["7-", "789", "bytes 7-9/10"],
    ["-2", "89", "bytes 8-9/10"],
    ["-200", CONTENT, "bytes 0-9/10"],
    ["5-500", "56789", "bytes 5-9/10"],
  ] as const)(
    "of the range %s carries just that",
    async ([range, body, contentRange], { place }) => {
      writeFileSync(place.path("ten.txt"), CONTENT);

      const answer = await curl([version, "--range", range, place.url("ten.txt")]);

      expect(answer).toMatchObject({ status: 206, stdout: body });
      expect(answer.headers["content-range"]).toBe(contentRange);
      expect(answer.headers["content-length"]).toBe(String(body.length));
    },
  );

  test("of several ranges carries a part for each", async ({ place }) => {
    writeFileSync(place.path("ten.txt"), CONTENT);

    const answer = await curl([version, "--range", "0-1,4-5,-1", place.url("ten.txt")]);

    expect(answer.status).toBe(206);
    const boundary = /boundary=(.+)$/.exec(answer.headers["content-type"] ?? "")?.[1];
    const parts = answer.stdout.split(`--${boundary}`);
    expect(parts.at(-1)).toBe("--\r\n");
    expect(parts.slice(1, -1).map((part) => part.split("\r\n\r\n")[1])).toEqual([
      "01\r\n",
      "45\r\n",
      "9\r\n",
    ]);
    expect(parts.slice(1, -1).map((part) => /Content-Range: (.*)\r/i.exec(part)?.[1])).toEqual([
      "bytes 0-1/10",
      "bytes 4-5/10",
      "bytes 9-9/10",
    ]);
    expect(answer.headers["content-length"]).toBe(String(answer.bytes.length));
  });

  test("of a range behind the end is refused with the size", async ({ place }) => {
    writeFileSync(place.path("ten.txt"), CONTENT);

    const answer = await curl([version, "--range", "10-", place.url("ten.txt")]);

    expect(answer.status).toBe(416);
    expect(answer.headers["content-range"]).toBe("bytes */10");
  });

  test("of an unchanged file is empty", async ({ place }) => {
    writeFileSync(place.path("ten.txt"), CONTENT);
    const url = place.url("ten.txt");
    const { headers } = await curl([version, url]);
    const since = (date: string) => ["--header", `If-Modified-Since: ${date}`];

    const unchanged = await curl([version, ...since(headers["last-modified"] ?? ""), url]);
    const changed = await curl([version, ...since("Sat, 01 Jan 2000 00:00:00 GMT"), url]);
    const own = await curl([version, "--time-cond", place.path("ten.txt"), url]);

    expect(unchanged).toMatchObject({ status: 304, stdout: "" });
    expect(changed).toMatchObject({ status: 200, stdout: CONTENT });
    expect(own).toMatchObject({ status: 304, stdout: "" });
  });

  test("resumes where an earlier one stopped", async ({ place }) => {
    const content = randomBytes(3_000_000);
    writeFileSync(place.path("source"), content);
    writeFileSync(place.path("target"), content.subarray(0, 1_234_567));

    const answer = await curl([
      version,
      "--continue-at",
      "-",
      "--output",
      place.path("target"),
      place.url("source"),
    ]);

    expect(answer).toMatchObject({ code: 0, status: 206 });
    expect(readFileSync(place.path("target")).equals(content)).toBe(true);
  });

  test("is compressed where curl offers it", async ({ place }) => {
    const content = "all work and no play\n".repeat(100_000);
    writeFileSync(place.path("dull.txt"), content);

    const raw = await curl([version, "--header", "Accept-Encoding: gzip", place.url("dull.txt")]);
    const answer = await curl([version, "--compressed", place.url("dull.txt")]);

    expect(raw.headers["content-encoding"]).toBe("gzip");
    expect(raw.headers["content-length"]).toBeUndefined();
    expect(raw.bytes.length).toBeLessThan(content.length / 10);
    expect(answer.stdout === content).toBe(true);
  });

  test("of 64 MB arrives whole", async ({ place }) => {
    const content = randomBytes(64_000_000);
    writeFileSync(place.path("large"), content);

    const answer = await curl([version, place.url("large")]);

    expect(answer.code).toBe(0);
    expect(sha256(answer.bytes)).toBe(sha256(content));
  });

  test("of nothing, of a directory and of a missing file is answered as such", async ({
    agent,
    place,
  }) => {
    writeFileSync(place.path("empty"), "");

    const empty = await curl([version, place.url("empty")]);
    const directory = await curl([version, place.url("")]);
    const missing = await curl([version, place.url("missing")]);
    const unknown = await curl([version, `${agent.url}${filesPath({ username: "no-one" })}`]);

    expect(empty).toMatchObject({ status: 200, stdout: "" });
    expect(empty.headers["content-length"]).toBe("0");
    expect([directory.status, missing.status, unknown.status]).toEqual([400, 404, 401]);
    expect(JSON.parse(missing.stdout)).toEqual({
      code: 404,
      message: `path '${place.path("missing")}' does not exist`,
    });
  });
});

describe.for(VERSIONS)("an upload by curl %s", (version) => {
  test("may be a form", async ({ place }) => {
    writeFileSync(place.path("source"), "from a form");

    const answer = await curl([
      version,
      "--form",
      `file=@${place.path("source")};filename=${place.path("deep/target")}`,
      place.url("").split("?")[0] ?? "",
    ]);

    expect(answer.status).toBe(200);
    expect(JSON.parse(answer.stdout)).toEqual([
      { path: place.path("deep/target"), name: "target", type: "file" },
    ]);
    expect(readFileSync(place.path("deep/target"), "utf8")).toBe("from a form");
  });

  test("may be a form with several files and other fields", async ({ agent, place }) => {
    writeFileSync(place.path("source"), "one");

    const answer = await curl([
      version,
      "--form",
      "comment=skipped",
      "--form",
      `file=@${place.path("source")};filename=${place.path("first")}`,
      "--form",
      `file=two;filename=${place.path("second")};type=text/plain`,
      `${agent.url}/files`,
    ]);

    expect((JSON.parse(answer.stdout) as { name: string }[]).map(({ name }) => name)).toEqual([
      "first",
      "second",
    ]);
    expect(readFileSync(place.path("second"), "utf8")).toBe("two");
  });

  test("may be the bare bytes, with metadata", async ({ place }) => {
    const content = randomBytes(20_000_000);

    const answer = await curl(
      [
        version,
        ...OCTETS,
        "--header",
        "X-Metadata-Author: me",
        "--data-binary",
        "@-",
        place.url("raw"),
      ],
      content,
    );

    expect(answer.status).toBe(200);
    expect(JSON.parse(answer.stdout)).toMatchObject([
      { path: place.path("raw"), name: "raw", type: "file" },
    ]);
    expect(sha256(readFileSync(place.path("raw")))).toBe(sha256(content));
  });

  test("may be compressed", async ({ place }) => {
    const encoding = ["--header", "Content-Encoding: gzip"];
    const url = place.url("inflated");

    const good = await curl(
      [version, ...OCTETS, ...encoding, "--data-binary", "@-", url],
      gzipSync("deflated"),
    );
    const bad = await curl([version, ...OCTETS, ...encoding, "--data-binary", "no gzip", url]);

    expect(good.status).toBe(200);
    expect(bad.status).toBe(400);
    expect(readFileSync(place.path("inflated"), "utf8")).toBe("deflated");
  });

  test("may come in chunks of unknown number", async ({ place }) => {
    const answer = await curl(
      [version, ...OCTETS, "--request", "POST", "--upload-file", "-", place.url("chunked")],
      "in chunks",
    );

    expect(answer.status).toBe(200);
    expect(readFileSync(place.path("chunked"), "utf8")).toBe("in chunks");
  });

  test("that names no path, or no form, is refused before it is sent", async ({ agent, place }) => {
    writeFileSync(place.path("source"), randomBytes(10_000_000));
    const body = ["--data-binary", `@${place.path("source")}`];

    const noPath = await curl([version, ...OCTETS, ...body, `${agent.url}/files`]);
    const noForm = await curl([
      version,
      "--header",
      "Content-Type: text/plain",
      ...body,
      place.url("target"),
    ]);
    const directory = await curl([version, ...OCTETS, ...body, place.url("")]);

    expect([noPath.status, noForm.status, directory.status]).toEqual([400, 400, 400]);
    expect(noPath.stdout).toContain("path query parameter is required for raw body upload");
    expect(noForm.stdout).toContain("unsupported content type: text/plain");
    expect(existsSync(place.path("target"))).toBe(false);
  });
});

describe("curl that asks before it sends", () => {
  // Longer than the whole call may take: without the answer it asks for, the call fails.
  const asking = ["--http1.1", "--header", "Expect: 100-continue", "--expect100-timeout", "60"];

  test("is told to go on", async ({ place }) => {
    const answer = await curl([
      ...asking,
      ...OCTETS,
      "--data-binary",
      "expected",
      place.url("expected"),
    ]);

    expect(answer.status).toBe(200);
    expect(readFileSync(place.path("expected"), "utf8")).toBe("expected");
  });
});

function sha256(bytes: Uint8Array): string {
  return createHash("sha256").update(bytes).digest("hex");
}
