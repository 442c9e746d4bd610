import { existsSync, readdirSync, readFileSync } from "node:fs";
import * as fc from "fast-check";
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
  test("of a form takes its files in order and skips the rest", async ({ agent }) => {
    const at = agent.directory;
    const body = form("XX", [
      { head: 'Content-Disposition: form-data; name="comment"', body: "not a file" },
      filePart(`${at}/deep/er/a.txt`, "A"),
      { head: 'Content-Disposition: form-data; name="other"; filename="x"', body: "not ours" },
      { head: 'Content-Disposition: attachment; name="file"; filename="x"', body: "no field" },
      { head: "X-Nothing: x", body: "no disposition" },
      filePart(`${at}/b`, ""),
      filePart(`${at}/c`, "a --XX in the text\r\n--XY"),
    ]);

    const answer = await upload(version, agent.url, { headers: FORM, body });

    expect(JSON.parse(answer.text)).toEqual([
      { path: `${at}/deep/er/a.txt`, name: "a.txt", type: "file" },
      { path: `${at}/b`, name: "b", type: "file" },
      { path: `${at}/c`, name: "c", type: "file" },
    ]);
    expect(readFileSync(`${at}/deep/er/a.txt`, "utf8")).toBe("A");
    expect(readFileSync(`${at}/c`, "utf8")).toBe("a --XX in the text\r\n--XY");
  });

  test.for(["--XX--\r\n", "--XX--", "preamble\r\n--XX--\r\nepilogue"])(
    "of a form without files stores nothing: %j",
    async (body, { agent }) => {
      const answer = await upload(version, agent.url, { headers: FORM, body });

      expect(answer).toMatchObject({ status: 200, text: "[]" });
    },
  );

  test("of a form goes to the path of the query, whatever the part is called", async ({
    agent,
  }) => {
    const path = `${agent.directory}/f`;
    const bodies = [
      form("XX", [filePart("upload", "1")]),
      form("XX", [{ head: 'Content-Disposition: form-data; name="file"', body: "2" }]),
    ];

    for (const [index, body] of bodies.entries()) {
      const answer = await upload(version, agent.url, { query: { path }, headers: FORM, body });

      expect(JSON.parse(answer.text)).toMatchObject([{ path }]);
      expect(readFileSync(path, "utf8")).toBe(String(index + 1));
    }
  });

  test("of a file twice in one form is refused, and the first one stays", async ({ agent }) => {
    const at = agent.directory;
    const parts = [
      filePart(`${at}/a`, "1"),
      filePart(`${at}/b`, "2"),
      filePart(`${at}/c`, "3"),
      filePart(`${at}/a`, "4"),
      filePart(`${at}/d`, "5"),
    ];

    const answer = await upload(version, agent.url, { headers: FORM, body: form("XX", parts) });

    expect(answer.status).toBe(400);
    expect(JSON.parse(answer.text).message).toBe(
      `you cannot upload multiple files to the same path '${at}/a' in one upload request, only the first specified file was uploaded, also the following files were uploaded: ${at}/b, ${at}/c`,
    );
    expect(readFileSync(`${at}/a`, "utf8")).toBe("1");
    expect(readFileSync(`${at}/c`, "utf8")).toBe("3");
    expect(existsSync(`${at}/d`)).toBe(false);
  });

  test("of two parts to the path of the query is refused", async ({ agent }) => {
    const path = `${agent.directory}/f`;
    const body = form("XX", [filePart("a", "1"), filePart("b", "2")]);

    const answer = await upload(version, agent.url, { query: { path }, headers: FORM, body });

    expect(answer.status).toBe(400);
    expect(readFileSync(path, "utf8")).toBe("1");
  });

  test("names files with any name that a form can carry", { timeout: 60_000 }, async () => {
    await using agent = await startTestAgent();
    const word = fc
      .string({ unit: "grapheme", minLength: 1, maxLength: 30 })
      .map((text) => Buffer.from(text.replaceAll(/[/\0\r\n]/g, "_")).toString())
      .filter((text) => text !== "." && text !== ".." && Buffer.byteLength(text) < 256);
    await fc.assert(
      fc.asyncProperty(word, fc.boolean(), async (name, isExtended) => {
        const path = `${agent.directory}/names/${name}`;
        const parameter = isExtended
          ? `filename*=utf-8''${encodeURIComponent(path)}`
          : `filename="${path.replaceAll(/["\\]/g, "\\$&")}"`;
        const head = `Content-Disposition: form-data; name="file"; ${parameter}`;

        const answer = await upload(version, agent.url, {
          headers: FORM,
          body: form("XX", [{ head, body: name }]),
        });

        expect(JSON.parse(answer.text)).toEqual([{ path, name, type: "file" }]);
        expect(readFileSync(path, "utf8")).toBe(name);
      }),
      { numRuns: 60 },
    );
  });

  test("names a file with a line break by the extended form", async ({ agent }) => {
    const head = `Content-Disposition: form-data; name="file"; filename*=utf-8''${agent.directory}/a%0Ab`;

    await upload(version, agent.url, { headers: FORM, body: form("XX", [{ head, body: "x" }]) });

    expect(readFileSync(`${agent.directory}/a\nb`, "utf8")).toBe("x");
  });
});

test("a form of thousands of tiny files is stored completely", async ({ agent }) => {
  const parts = Array.from({ length: 3_000 }, (_, index) =>
    filePart(`${agent.directory}/t/${index}`, String(index)),
  );

  const answer = await upload("h1", agent.url, { headers: FORM, body: form("XX", parts) });

  expect(JSON.parse(answer.text)).toHaveLength(3_000);
  expect(readdirSync(`${agent.directory}/t`)).toHaveLength(3_000);
  expect(readFileSync(`${agent.directory}/t/2999`, "utf8")).toBe("2999");
});

test("a form may be cut anywhere on its way", async ({ agent }) => {
  const path = `${agent.directory}/f`;
  const content = Buffer.from("a\r\n--X\r\n-\r\n--XY--\r\nb");
  const body = form("XX", [filePart(path, content)]);

  for (let cut = 1; cut < body.length; cut += 1) {
    const stream = new ReadableStream<Uint8Array>({
      async start(controller) {
        controller.enqueue(body.subarray(0, cut));
        await new Promise((resolve) => setImmediate(resolve));
        controller.enqueue(body.subarray(cut));
        controller.close();
      },
    });
    const answer = await fetch(`${agent.url}/files`, {
      method: "POST",
      headers: FORM,
      body: stream,
      duplex: "half",
    });

    expect(await answer.json()).toHaveLength(1);
    expect(readFileSync(path).equals(content)).toBe(true);
  }
});
