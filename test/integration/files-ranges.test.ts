import { randomBytes } from "node:crypto";
import { utimesSync, writeFileSync } from "node:fs";
import { describe, expect } from "vitest";
import { test } from "../helpers/agent.ts";
import { ask, filesPath, httpVersions } from "../helpers/requests.ts";

const DATE = "Sun, 06 Nov 1994 08:49:37 GMT";
const MIB = 1024 * 1024;

describe.for(httpVersions)("over %s, a download", (version) => {
  describe("in ranges", () => {
    test.for([
      ["bytes=2-4", 206, "234", "bytes 2-4/10"],
      ["bytes=7-", 206, "789", "bytes 7-9/10"],
      ["bytes=-2", 206, "89", "bytes 8-9/10"],
      ["bytes=0-99", 206, "0123456789", "bytes 0-9/10"],
      ["lines=1-2", 200, "0123456789", undefined],
      ["bytes=0-9,0-9", 200, "0123456789", undefined],
      ["bytes=10-", 416, "invalid range: failed to overlap\n", "bytes */10"],
      ["bytes=5-2", 416, "invalid range\n", undefined],
    ] as const)("%s is a %d of %j", async ([range, status, text, contentRange], { agent }) => {
      writeFileSync(`${agent.directory}/f`, "0123456789");

      const answer = await ask(version, agent.url, {
        path: filesPath({ path: `${agent.directory}/f` }),
        headers: { range, "accept-encoding": "gzip" },
      });

      expect(answer).toMatchObject({ status, text });
      expect(answer.headers["content-range"]).toBe(contentRange);
      expect(answer.headers["content-length"]).toBe(String(text.length));
      expect(answer.headers).not.toHaveProperty("content-encoding");
    });

    test("several come as parts, each with its place", async ({ agent }) => {
      writeFileSync(`${agent.directory}/f.html`, "0123456789");

      const answer = await ask(version, agent.url, {
        path: filesPath({ path: `${agent.directory}/f.html` }),
        headers: { range: "bytes=0-1, -2, 50-" },
      });

      const [, boundary] =
        /^multipart\/byteranges; boundary=(\w+)$/.exec(answer.headers["content-type"] ?? "") ?? [];
      const type = "Content-Type: text/html; charset=utf-8";
      expect(answer.status).toBe(206);
      expect(answer.text).toBe(
        `--${boundary}\r\nContent-Range: bytes 0-1/10\r\n${type}\r\n\r\n01\r\n` +
          `--${boundary}\r\nContent-Range: bytes 8-9/10\r\n${type}\r\n\r\n89\r\n--${boundary}--\r\n`,
      );
      expect(answer.headers["content-length"]).toBe(String(answer.body.length));
    });

    test("far into a large file is exact", async ({ agent }) => {
      const content = randomBytes(4 * MIB);
      writeFileSync(`${agent.directory}/f`, content);
      const path = filesPath({ path: `${agent.directory}/f` });

      const answer = await ask(version, agent.url, {
        path,
        headers: { range: "bytes=60000-3500000" },
      });

      expect(answer.body.equals(content.subarray(60_000, 3_500_001))).toBe(true);
    });
  });

  describe("with conditions", () => {
    test.for<[Record<string, string>, number]>([
      [{ "if-modified-since": DATE }, 304],
      [{ "if-modified-since": "Sun, 06 Nov 1994 08:49:36 GMT" }, 200],
      [{ "if-none-match": "*" }, 304],
      [{ "if-none-match": '"x"', "if-modified-since": DATE }, 200],
      [{ "if-match": '"x"' }, 412],
      [{ "if-unmodified-since": "Sun, 06 Nov 1994 08:49:36 GMT" }, 412],
      [{ "if-range": DATE, range: "bytes=0-0" }, 206],
      [{ "if-range": '"x"', range: "bytes=0-0" }, 200],
    ])("%o is a %d", async ([headers, status], { agent }) => {
      writeFileSync(`${agent.directory}/f`, "hello");
      utimesSync(`${agent.directory}/f`, 0, Date.parse(DATE) / 1000);

      const answer = await ask(version, agent.url, {
        path: filesPath({ path: `${agent.directory}/f` }),
        headers,
      });

      expect(answer.status).toBe(status);
      expect(answer.headers["last-modified"]).toBe(DATE);
      if (status === 304 || status === 412) expect(answer.text).toBe("");
    });
  });
});
