import { execFileSync } from "node:child_process";
import { randomBytes } from "node:crypto";
import {
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { describe, expect } from "vitest";
import { startTestAgent, test } from "../helpers/agent.ts";
import { type Answer, ask, httpVersions } from "../helpers/requests.ts";
import { smallFilesystem } from "../helpers/scratch.ts";

/** Asks to compose; a text is sent as it is. */
function compose(url: string, body: unknown): Promise<Answer> {
  const text = typeof body === "string" ? body : JSON.stringify(body);
  return ask("h1", url, { method: "POST", path: "/files/compose", body: text });
}

test.for(httpVersions)(
  "sources become one file, in order, over %s",
  async (version, { agent, user }) => {
    const at = agent.directory;
    const parts = [randomBytes(3_000_000), Buffer.alloc(0), randomBytes(10)];
    const sources = parts.map((part, index) => {
      writeFileSync(`${at}/${index}`, part);
      return `${at}/${index}`;
    });
    const destination = `${at}/made/for/whole`;
    const body = JSON.stringify({ source_paths: sources, destination, username: user.name });

    const answer = await ask(version, agent.url, { method: "POST", path: "/files/compose", body });

    expect(answer.status).toBe(200);
    expect(answer.headers["content-type"]).toBe("application/json");
    expect(JSON.parse(answer.text)).toEqual({ name: "whole", path: destination, type: "file" });
    expect(readFileSync(destination).equals(Buffer.concat(parts))).toBe(true);
    expect(statSync(destination)).toMatchObject({ uid: user.uid, gid: user.gid, mode: 0o100644 });
    expect(statSync(`${at}/made`).uid).toBe(user.uid);
    expect(sources.filter((source) => existsSync(source))).toEqual([]);
    expect(readdirSync(`${at}/made/for`)).toEqual(["whole"]);
  },
);

test("a source may come twice, and a file may be replaced", async ({ agent }) => {
  const at = agent.directory;
  writeFileSync(`${at}/a`, "A");
  writeFileSync(`${at}/b`, "B");
  writeFileSync(`${at}/old`, "old");

  await compose(agent.url, {
    source_paths: [`${at}/a`, `${at}/b`, `${at}/a`],
    destination: `${at}/old`,
  });

  expect(readFileSync(`${at}/old`, "utf8")).toBe("ABA");
});

describe("a request is refused, and changes nothing:", () => {
  test.for<[unknown, number, string | RegExp]>([
    ["{", 400, /^invalid request body: /],
    ["", 400, /^invalid request body: /],
    ["[]", 400, "source_paths must not be empty"],
    ["null", 400, /^invalid request body: /],
    [{ destination: "%D/x" }, 400, "source_paths must not be empty"],
    [{ source_paths: [], destination: "%D/x" }, 400, "source_paths must not be empty"],
    [{ source_paths: "%D/a", destination: "%D/x" }, 400, /^invalid request body: /],
    [{ source_paths: [1], destination: "%D/x" }, 400, /^invalid request body: /],
    [{ source_paths: ["%D/a"] }, 400, "destination is required"],
    [{ source_paths: ["%D/a"], destination: 1 }, 400, /^invalid request body: /],
    [{ source_paths: ["%D/a"], destination: "%D/x", username: 1 }, 400, /^invalid request body: /],
    [
      { source_paths: ["%D/a"], destination: "%D/x", username: "ghost" },
      401,
      "error looking up user 'ghost': user: unknown user ghost",
    ],
    [
      { source_paths: ["%D/a"], destination: "%D/a" },
      400,
      'source path "%D/a" cannot be the same as destination',
    ],
    [
      { source_paths: ["%D/b", "%D/d/.././a"], destination: "%D/a" },
      400,
      'source path "%D/d/.././a" cannot be the same as destination',
    ],
    [
      { source_paths: ["%D/a", "%D/none"], destination: "%D/x" },
      404,
      "source file not found: %D/none",
    ],
    [{ source_paths: ["%D/a\0"], destination: "%D/x" }, 400, /^error resolving source path /],
    [{ source_paths: ["%D/a"], destination: "~x/y" }, 400, /^error resolving destination path: /],
    [
      { source_paths: ["%D/a", "%D/d"], destination: "%D/x" },
      400,
      "source path is not a regular file: %D/d",
    ],
    [
      { source_paths: ["%D/fifo"], destination: "%D/x" },
      400,
      "source path is not a regular file: %D/fifo",
    ],
    [
      { source_paths: ["%D/zero"], destination: "%D/x" },
      400,
      "source path is not a regular file: %D/zero",
    ],
    [{ source_paths: ["%D/a"], destination: "%D/d" }, 500, /EISDIR/],
    [{ source_paths: ["%D/a"], destination: "%D/b/x" }, 500, /path is a file: %D\/b$/],
  ])("%j", async ([request, status, message], { agent }) => {
    const at = (text: string) => text.replaceAll("%D", agent.directory);
    writeFileSync(at("%D/a"), "A");
    writeFileSync(at("%D/b"), "B");
    mkdirSync(at("%D/d"));
    execFileSync("mkfifo", [at("%D/fifo")]);
    symlinkSync("/dev/zero", at("%D/zero"));
    const before = readdirSync(agent.directory);
    const text = typeof request === "string" ? request : JSON.stringify(request);

    const answer = await compose(agent.url, at(text));

    const words =
      typeof message === "string"
        ? at(message)
        : expect.stringMatching(new RegExp(at(message.source)));
    expect(JSON.parse(answer.text)).toEqual({ code: status, message: words });
    expect(answer.status).toBe(status);
    expect(readdirSync(agent.directory)).toEqual(before);
    expect(readFileSync(at("%D/a"), "utf8")).toBe("A");
  });
});

test("a full disk is a 507, and leaves sources and destination as they were", async ({ agent }) => {
  using small = smallFilesystem("size=1m");
  const source = `${agent.directory}/source`;
  const destination = `${small.path}/d`;
  writeFileSync(source, Buffer.alloc(2_000_000));
  writeFileSync(destination, "old");

  const answer = await compose(agent.url, { source_paths: [source], destination });

  expect(JSON.parse(answer.text)).toEqual({
    code: 507,
    message: "not enough disk space available",
  });
  expect(readFileSync(destination, "utf8")).toBe("old");
  expect(readdirSync(small.path)).toEqual(["d"]);
  expect(existsSync(source)).toBe(true);
});

test("a body without end is refused", async ({ agent }) => {
  const answer = await compose(agent.url, `"${"x".repeat(5_000_000)}"`);

  expect(answer.status).toBe(400);
  expect(JSON.parse(answer.text).message).toMatch(/^invalid request body: it is larger than /);
});

test("the token is needed", async () => {
  await using agent = await startTestAgent({ accessToken: "secret" });

  expect(await compose(agent.url, {})).toMatchObject({ status: 401 });
});
